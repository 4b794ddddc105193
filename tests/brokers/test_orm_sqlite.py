"""The short way of one package into SQLite gives what a cursor gives."""

import asyncio
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import SynchronousOnlyOperation
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_q.brokers import orm_sqlite
from django_q.brokers.orm import ORM
from django_q.brokers.orm_sql import moment
from django_q.exceptions import BrokerError
from django_q.models import OrmQ
from django_q.testing import BrokerSuite
from tests.site import databases

on_sqlite = pytest.mark.parametrize("database", ["default"], indirect=True)


@pytest.fixture
def broker(database: str, q_cluster: Callable[..., Any]) -> ORM:
    """A broker on an empty queue, connected."""
    q_cluster(orm=database)
    broker = ORM(BrokerSuite.queue_name())
    assert broker.queue_size() == 0
    return broker


def connection_of(broker: ORM) -> BaseDatabaseWrapper:
    return connections[broker.alias]


def goes_short(broker: ORM, send: Callable[[], Any]) -> bool:
    """Send something, and tell whether Django's cursor had no part in it."""
    wrapper, made = type(connection_of(broker)), []
    usual = wrapper.create_cursor

    def create_cursor(connection: BaseDatabaseWrapper, name: str | None = None) -> Any:
        made.append(name)
        return usual(connection, name)

    with mock.patch.object(wrapper, "create_cursor", create_cursor):
        send()
    return not made


@on_sqlite
@pytest.mark.parametrize(
    "payload", ["payload: %s ? \\ '", "", "Gr\u00fc\u00dfe \U0001f41d", "a\0b"]
)
def test_a_package_goes_the_short_way_and_is_the_same_row(broker: ORM, payload: str) -> None:
    began, ids = timezone.now(), []

    assert goes_short(broker, lambda: ids.append(broker.enqueue(payload)))
    with mock.patch.object(orm_sqlite, "is_open", lambda connection: False):
        assert not goes_short(broker, lambda: ids.append(broker.enqueue(payload)))

    rows = OrmQ.objects.using(broker.alias).filter(key=broker.list_key).order_by("id")
    assert [str(row.pk) for row in rows] == ids
    short, plain = rows.values()
    locks = [row.pop("lock") for row in (short, plain)]
    assert began <= locks[0] <= locks[1] <= timezone.now()
    assert short | {"id": 0} == plain | {"id": 0}
    assert [lease.payload for lease in broker.lease(2)] == [payload, payload]


@on_sqlite
def test_many_packages_priorities_and_delays_go_the_plain_way(broker: ORM) -> None:
    assert not goes_short(broker, lambda: broker.enqueue_many("ab"))
    assert not goes_short(broker, lambda: broker.enqueue_many(["c"], priority=1))
    assert not goes_short(broker, lambda: broker.enqueue_many(["d"], delay=60))

    assert [lease.payload for lease in broker.lease(9)] == ["c", "a", "b"]


@on_sqlite
@pytest.mark.parametrize("count", [0, 2, 9, 10, 11, 99, 249, 250, 251, 999])
def test_any_number_of_packages_keeps_its_order(broker: ORM, count: int) -> None:
    payloads = [str(number) for number in range(count)]

    ids = broker.enqueue_many(payloads)

    leases = broker.lease(1000)
    assert [lease.payload for lease in leases] == payloads
    assert [lease.id for lease in leases] == ids


@on_sqlite
def test_packages_of_any_number_go_by_few_statements(broker: ORM) -> None:
    texts: set[str] = set()

    def note(execute: Any, sql: str, *rest: Any) -> Any:
        texts.add(sql)
        return execute(sql, *rest)

    with connection_of(broker).execute_wrapper(note):
        for count in range(1, 180):
            broker.enqueue_many(["a"] * count)

    # Python keeps the last 128 of a connection, and all that SQLite has made of them.
    assert len(texts) <= 12
    assert broker.queue_size() == sum(range(180))


@on_sqlite
def test_a_transaction_has_it_with_the_rest(broker: ORM) -> None:
    with pytest.raises(LookupError), transaction.atomic(using=broker.alias):
        broker.enqueue("a")
        raise LookupError

    assert broker.queue_size() == 0


@on_sqlite
def test_who_looks_at_statements_sees_it(broker: ORM) -> None:
    seen: list[str] = []

    def look(execute: Any, sql: str, *args: Any) -> Any:
        seen.append(sql)
        return execute(sql, *args)

    with connection_of(broker).execute_wrapper(look):
        broker.enqueue("a")
    with CaptureQueriesContext(connection_of(broker)) as captured:
        broker.enqueue("b")

    assert len(seen) == len(captured) == 1
    assert "INSERT" in seen[0]


@on_sqlite
def test_a_cursor_of_somebodys_own_is_used(broker: ORM) -> None:
    # So does Django's SimpleTestCase, that no test writes unless it says so.
    with mock.patch.object(connection_of(broker), "cursor", side_effect=LookupError):
        with pytest.raises(LookupError):
            broker.enqueue("a")

    assert broker.queue_size() == 0


@on_sqlite
def test_an_event_loop_does_not_wait_for_it(broker: ORM) -> None:
    async def send() -> None:
        broker.enqueue("a")

    with pytest.raises(SynchronousOnlyOperation):
        asyncio.run(send())

    assert broker.queue_size() == 0


@on_sqlite
def test_a_refusal_is_an_error_of_django_and_leaves_the_connection_in_use(broker: ORM) -> None:
    with mock.patch.object(orm_sqlite, "moment", lambda connection: object()):
        with pytest.raises(BrokerError) as caught:
            broker.enqueue("a")

    assert isinstance(caught.value.__cause__.__cause__, sqlite3.Error)  # type: ignore[union-attr]
    assert broker.enqueue("b") and broker.queue_size() == 1


@on_sqlite
@pytest.mark.parametrize("zone", [UTC, ZoneInfo("Europe/Stockholm")])
@pytest.mark.parametrize("seconds", [0.0, 1.5, -86_400, 7_000_000])
def test_moments_are_written_as_django_writes_them(
    broker: ORM, monkeypatch: pytest.MonkeyPatch, seconds: float, zone: tzinfo
) -> None:
    connection = connection_of(broker)
    monkeypatch.setitem(vars(connection), "timezone", zone)
    for now in (datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC), datetime.now(UTC)):
        monkeypatch.setattr(timezone, "now", lambda now=now: now)

        then = connection.ops.adapt_datetimefield_value(now + timedelta(seconds=seconds))
        assert moment(connection, seconds) == then


@pytest.mark.parametrize(
    "database", [a for a in databases.ALIASES if a != "default"], indirect=True
)
def test_other_databases_do_not_go_this_way(broker: ORM) -> None:
    assert not orm_sqlite.is_open(connection_of(broker))
