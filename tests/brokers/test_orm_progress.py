"""A claim in a long queue goes on where the last one ended, and loses nothing (PostgreSQL)."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections

from django_q.brokers.orm import ORM
from django_q.brokers.orm_progress import Progress
from django_q.testing import BrokerSuite
from tests.brokers.claims import plan_of_claim

pytestmark = pytest.mark.parametrize("database", ["postgres"], indirect=True)


@pytest.fixture
def broker(database: str, q_cluster: Callable[..., Any]) -> ORM:
    """A broker of an empty queue."""
    q_cluster(orm=database)
    return ORM(BrokerSuite.queue_name())


def _payloads(broker: ORM, count: int) -> list[str]:
    return [lease.payload for lease in broker.lease(count)]


def _fill(broker: ORM, first: int, count: int, priority: int = 0) -> list[str]:
    """Fill the queue; each has a moment of its own."""
    names = [f"{number:04d}" for number in range(first, first + count)]
    with connections[broker.alias].cursor() as cursor:
        cursor.execute(
            "INSERT INTO django_q_ormq (key, payload, lock, priority) SELECT %s, payload,"
            " STATEMENT_TIMESTAMP() - INTERVAL '1 hour' + payload::int * INTERVAL '1 second', %s"
            " FROM json_array_elements_text(array_to_json(%s::text[])) AS payload",
            [broker.list_key, priority, names],
        )
    return names


def test_claims_that_go_on_give_all_in_their_order(broker: ORM) -> None:
    names = _fill(broker, 0, 500)

    assert sum((_payloads(broker, 60) for _ in range(9)), []) == names


def test_a_claim_that_goes_on_goes_by_the_index(broker: ORM) -> None:
    _fill(broker, 0, 100)

    plan = plan_of_claim(broker, since=time.time() - 3600)

    assert "django_q_ormq_claim" in plan
    assert "(lock >= CASE" in plan


def test_a_claim_that_goes_on_steps_over_what_is_older(broker: ORM) -> None:
    names = _fill(broker, 100, 200)
    assert _payloads(broker, 50) == names[:50]
    (older,) = _fill(broker, 0, 1)

    assert _payloads(broker, 50) == names[50:100]
    # Too few that are newer: the rest is taken from the beginning.
    assert _payloads(broker, 200) == [*names[100:], older]


def test_what_is_older_waits_for_a_second_at_most(
    broker: ORM, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = _fill(broker, 100, 300)
    _payloads(broker, 50)
    (older,) = _fill(broker, 0, 1)
    _payloads(broker, 50)

    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 1.1)

    assert _payloads(broker, 50) == [older, *names[100:149]]


def test_what_was_given_back_comes_first(broker: ORM) -> None:
    names = _fill(broker, 0, 200)
    leases = broker.lease(50)

    broker.release([lease.receipt for lease in leases])

    assert _payloads(broker, 50) == names[:50]


def test_a_higher_priority_comes_at_once(broker: ORM) -> None:
    names = _fill(broker, 100, 200)
    _payloads(broker, 50)
    urgent = _fill(broker, 0, 3, priority=1)

    assert _payloads(broker, 50) == [*urgent, *names[50:97]]


def test_lower_priorities_come_when_the_higher_one_is_done(broker: ORM) -> None:
    names = _fill(broker, 100, 60)
    low = _fill(broker, 0, 60, priority=-1)

    assert sum((_payloads(broker, 50) for _ in range(3)), []) == [*names, *low]


def test_short_claims_begin_with_the_oldest(broker: ORM) -> None:
    progress = Progress()

    progress.note([(1, "payload", 1, 0, 5.0)], 1, is_whole=True)

    assert progress.place() is None
