"""How soon and how cheaply the ORM broker leases, on every database."""

import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from django_q.brokers.orm import ORM
from django_q.conf import Conf
from django_q.models import OrmQ
from django_q.testing import BrokerSuite
from tests.brokers.claims import plan_of_claim
from tests.site import databases

pytestmark = pytest.mark.parametrize("database", databases.ALIASES, indirect=True)


@pytest.fixture
def broker(database: str, q_cluster: Callable[..., Any]) -> ORM:
    """A broker on an empty queue."""
    q_cluster(orm=database)
    return ORM(BrokerSuite.queue_name())


# Soon.


def test_an_idle_lease_knows_when_the_next_is_due(broker: ORM) -> None:
    broker.enqueue_many(["later"], delay=0.4)
    began = time.monotonic()

    (lease,) = broker.lease(1, 5.0)

    assert lease.payload == "later"
    assert 0.3 < time.monotonic() - began < 2.5


@pytest.mark.alone
def test_an_idle_lease_wakes_for_a_new_package(broker: ORM) -> None:
    limit = Conf.POLL + 0.05 if broker.alias == "mariadb" else 0.05

    waits = [_time_to_wake(broker) for _ in range(5)]

    # The median: a busy machine may delay one or two.
    assert statistics.median(waits) < limit, waits


def _time_to_wake(broker: ORM) -> float:
    sent: list[float] = []

    def produce() -> None:
        producer = ORM(broker.list_key)
        producer.queue_size()  # opens the connection, which takes its time
        time.sleep(0.2)
        sent.append(time.monotonic())
        producer.enqueue("now")
        producer.close()

    thread = threading.Thread(target=produce)
    thread.start()
    assert broker.lease(1, 5.0)
    woken = time.monotonic()
    thread.join()
    return woken - sent[0]


# Cheaply.


def test_an_idle_lease_costs_one_statement(broker: ORM) -> None:
    if broker.alias == "mariadb":
        pytest.skip("It gives no hints: who waits looks again and again.")
    assert not broker.lease(1, 0.05)
    statements: list[str] = []

    def note(execute: Any, sql: str, *args: Any) -> Any:
        statements.append(sql)
        return execute(sql, *args)

    with connections[broker.alias].execute_wrapper(note):
        for _ in range(3):
            assert not broker.lease(1, 0.05)

    assert len(statements) == 3
    broker.enqueue("now")
    assert [lease.payload for lease in broker.lease(1, 5.0)] == ["now"]


def test_an_idle_lease_finds_what_nobody_has_told_of(broker: ORM) -> None:
    assert not broker.lease(1, 0.05)
    rows = OrmQ.objects.using(broker.alias)
    rows.create(key=broker.list_key, payload="silent", lock=timezone.now())

    assert [lease.payload for lease in broker.lease(1, 5.0)] == ["silent"]


def test_a_claim_steps_over_rows_that_are_not_ready(broker: ORM) -> None:
    broker.enqueue_many(["ahead"] * 100, delay=3600)
    _double(broker, 11)  # to 204,800 rows
    broker.enqueue("ready")

    assert "django_q_ormq_claim" in plan_of_claim(broker)
    _assert_that_claims_are_quick(broker, 1)


def test_a_claim_reads_no_more_than_it_takes(broker: ORM) -> None:
    broker.enqueue_many(["ready"] * 100)
    _double(broker, 9)  # to 51,200 rows, of which the planner's statistics know nothing

    assert "django_q_ormq_claim" in plan_of_claim(broker)
    _assert_that_claims_are_quick(broker, 10)


def test_a_claim_leaps_over_priorities_of_which_nothing_is_ready(broker: ORM) -> None:
    for priority in (90, 3, 0, -3):
        broker.enqueue_many(["ahead"] * 25, delay=3600, priority=priority)
    _double(broker, 11)  # to 204,800 rows
    broker.enqueue_many(["low"], priority=-5)
    broker.enqueue_many(["high"], priority=4)

    assert "django_q_ormq_claim" in plan_of_claim(broker)
    assert [lease.payload for lease in broker.lease(1)] == ["high"]
    assert _quickest_claim(broker, 1) < 0.02


def test_a_claim_of_the_highest_reads_nothing_of_the_others(broker: ORM) -> None:
    broker.enqueue_many(["ready"] * 100)
    _double(broker, 9)  # to 51,200 rows
    broker.enqueue_many(["urgent"] * 10, priority=1)

    assert {lease.payload for lease in broker.lease(10)} == {"urgent"}
    assert _quickest_claim(broker, 10) < 0.02


def _double(broker: ORM, times: int) -> None:
    names = ("key", "payload", "lock", "priority")
    columns = ", ".join(map(connections[broker.alias].ops.quote_name, names))
    double = f"INSERT INTO django_q_ormq ({columns}) SELECT {columns} FROM django_q_ormq"  # noqa: S608
    with connections[broker.alias].cursor() as cursor:
        for _ in range(times):
            cursor.execute(double)


def _assert_that_claims_are_quick(broker: ORM, count: int) -> None:
    """Compare with a short queue: the shortest of some, taken in turns on a busy machine."""
    short = ORM(f"{broker.list_key}-short")
    short.enqueue_many(["ready"] * count)
    times = [[_time_to_claim(each, count) for each in (short, broker)] for _ in range(15)]

    quickest_of_short, quickest = map(min, zip(*times, strict=True))
    # A scan of all rows takes fifty times as long, and more.
    assert quickest < 5 * quickest_of_short, times


def _quickest_claim(broker: ORM, count: int) -> float:
    """Seconds; the shortest of some, since a busy machine only ever adds to them."""
    return min(_time_to_claim(broker, count) for _ in range(15))


def _time_to_claim(broker: ORM, count: int) -> float:
    began = time.perf_counter()
    leases = broker.lease(10)
    took = time.perf_counter() - began
    assert len(leases) == count
    broker.release([lease.receipt for lease in leases])
    return took
