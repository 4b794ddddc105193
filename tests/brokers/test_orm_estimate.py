"""The size of a long queue of the ORM broker, on every database: reckoned, and honest about it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from django_q.brokers import orm_estimate, orm_rows
from django_q.brokers.estimate import Estimate
from django_q.brokers.orm import ORM
from django_q.brokers.orm_sql import statements
from django_q.brokers.several import Several
from django_q.models import OrmQ
from django_q.testing import BrokerSuite
from tests.site import databases

pytestmark = pytest.mark.parametrize("database", databases.ALIASES, indirect=True)

#: Rows that are counted here one by one.
FEW = 200


@pytest.fixture
def broker(database: str, q_cluster: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> ORM:
    """A broker on an empty queue, who counts to FEW and looks at a part of what there is."""
    q_cluster(orm=database)
    monkeypatch.setattr(orm_rows, "COUNTED", FEW)
    monkeypatch.setattr(orm_estimate, "PAGES", 60)
    # A table of its own size: what other tests left are pages, too.
    with connections[database].cursor() as cursor:
        if connections[database].vendor == "postgresql":
            cursor.execute("TRUNCATE django_q_ormq")
    return ORM(BrokerSuite.queue_name())


def test_up_to_the_bound_it_is_exact(broker: ORM) -> None:
    broker.enqueue_many(["high"] * 50, priority=5)
    broker.enqueue_many(["plain"] * (FEW - 50))

    assert broker.queue_size() == FEW
    assert type(broker.queue_size()) is int


def test_one_more_is_an_estimate(broker: ORM) -> None:
    broker.enqueue_many(["high"] * 50, priority=5)
    broker.enqueue_many(["plain"] * (FEW - 49))

    assert isinstance(broker.queue_size(), Estimate)
    assert broker.queue_size() >= FEW


def test_an_estimate_is_of_what_waits_in_this_queue(broker: ORM) -> None:
    other = ORM(BrokerSuite.queue_name())
    for number in range(20):
        broker.enqueue_many(["mine"] * 200, priority=number % 2)
        other.enqueue_many(["theirs"] * 200)
        broker.enqueue_many(["later"] * 50, delay=3600)
    broker.lease(300)

    sizes = [broker.queue_size() for _ in range(9)]

    assert all(isinstance(size, Estimate) for size in sizes)
    # Of a table as small as this one few pages are looked at: one of the nine may be far off.
    assert 0.7 * 3700 < sorted(sizes)[4] < 1.3 * 3700, sizes


def test_a_gap_in_the_ids_does_not_count(broker: ORM) -> None:
    now = timezone.now()
    OrmQ.objects.create(id=1, key=broker.list_key, payload="old", lock=now + timedelta(days=99))
    first = 10**9
    OrmQ.objects.bulk_create(
        OrmQ(id=first + 3 * n, key=broker.list_key, payload="new", lock=now) for n in range(3000)
    )

    size = broker.queue_size()

    assert isinstance(size, Estimate)
    assert 0.6 * 3000 < size < 1.4 * 3000


def test_packages_of_a_sample_are_found_by_their_ids(broker: ORM) -> None:
    connection = connections[broker.alias]
    if connection.vendor == "postgresql":
        pytest.skip("looks into pages")
    broker.enqueue_many(["a"] * 1000)
    text = statements(connection).sample_ids
    explain = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "

    with connection.cursor() as cursor:
        cursor.execute(explain + text, [100, 100, 120, broker.list_key, timezone.now()])
        plan = str(cursor.fetchall())

    assert "PRIMARY" in plan
    assert "django_q_ormq_claim'" not in plan.replace("'PRIMARY', 'PRIMARY'", "")


def test_reckoning_again_takes_no_new_statements(broker: ORM) -> None:
    # Python keeps the last 128 of a connection to SQLite, and all that SQLite has made of them.
    broker.enqueue_many(["a"] * 3000)
    first = _texts(broker)
    broker.acknowledge_many([lease.receipt for lease in broker.lease(100)])

    second = _texts(broker)

    assert second <= first


def _texts(broker: ORM) -> set[str]:
    """The statements by which a broker reckons its size, without their values."""
    texts: set[str] = set()

    def note(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        texts.add(sql)
        return execute(sql, *rest)

    with connections[broker.alias].execute_wrapper(note):
        assert isinstance(broker.queue_size(), Estimate)
    return texts


def test_several_queues_are_an_estimate_if_one_is(broker: ORM) -> None:
    several = Several(queues=[broker.list_key, BrokerSuite.queue_name()])
    broker.enqueue_many(["a"] * FEW)
    exact = several.queue_size()

    broker.enqueue("one more")

    assert (exact, type(exact)) == (FEW, int)
    assert isinstance(several.queue_size(), Estimate)
