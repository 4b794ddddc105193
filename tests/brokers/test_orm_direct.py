"""The short way of a statement to PostgreSQL gives what a cursor gives."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.db import ProgrammingError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_q.brokers import orm_direct
from django_q.brokers.orm import ORM
from django_q.brokers.orm_rows import Rows
from django_q.brokers.orm_wait import channel
from django_q.conf import Conf
from django_q.exceptions import BrokerError
from django_q.models import OrmQ
from django_q.testing import BrokerSuite
from tests.site import databases

on_postgres = pytest.mark.parametrize("database", ["postgres"], indirect=True)


@pytest.fixture
def broker(database: str, q_cluster: Callable[..., Any]) -> ORM:
    """A broker on an empty queue, connected."""
    q_cluster(orm=database)
    broker = ORM(BrokerSuite.queue_name())
    assert broker.queue_size() == 0
    return broker


@pytest.fixture
def direct() -> Iterator[mock.Mock]:
    """Counts what goes the short way."""
    with mock.patch.object(orm_direct, "fetch", wraps=orm_direct.fetch) as direct:
        yield direct


def connection_of(broker: ORM) -> BaseDatabaseWrapper:
    return connections[broker.alias]


@on_postgres
def test_one_package_goes_the_short_way_and_is_the_same_row(broker: ORM, direct: mock.Mock) -> None:
    began = timezone.now()

    ids = [broker.enqueue("payload: %s $1 \\ '")]
    assert direct.call_count == 1
    with mock.patch.object(orm_direct, "is_open", lambda *args: False):
        ids.append(broker.enqueue("payload: %s $1 \\ '"))
    assert direct.call_count == 1

    rows = OrmQ.objects.using(broker.alias).filter(key=broker.list_key).order_by("id")
    assert [str(row.pk) for row in rows] == ids
    short, plain = rows.values()
    locks = [row.pop("lock") for row in (short, plain)]
    assert began <= locks[0] <= locks[1] <= timezone.now()
    assert short | {"id": 0} == plain | {"id": 0}
    assert [lease.id for lease in broker.lease(2)] == ids


@on_postgres
def test_many_packages_go_the_short_way_and_are_the_same_rows(
    broker: ORM, direct: mock.Mock
) -> None:
    payloads = ["payload: %s $1 \\ '", "", *map(str, range(500)), ""]
    began = timezone.now()

    ids = broker.enqueue_many(payloads)
    assert direct.call_count == 1
    with mock.patch.object(orm_direct, "is_open", lambda *args: False):
        ids += broker.enqueue_many(payloads)
    assert direct.call_count == 1

    rows = OrmQ.objects.using(broker.alias).filter(key=broker.list_key).order_by("id")
    assert [str(row.pk) for row in rows] == ids
    assert [row.payload for row in rows] == payloads * 2
    alike = [{k: v for k, v in row.items() if k not in ("id", "lock")} for row in rows.values()]
    assert alike[: len(payloads)] == alike[len(payloads) :]
    assert all(began <= row.lock <= timezone.now() for row in rows)


@on_postgres
@pytest.mark.parametrize("is_open", [True, False])
@pytest.mark.parametrize(
    "payloads", [["a\nb", "c"], ["\n", ""], ["", ""], ["Gr\u00fc\u00dfe", "a"], ["a"] * 1200]
)
def test_any_texts_come_back(
    broker: ORM, monkeypatch: pytest.MonkeyPatch, payloads: list[str], is_open: bool
) -> None:
    if not is_open:
        monkeypatch.setattr(orm_direct, "is_open", lambda *args: False)

    ids = broker.enqueue_many(payloads)

    leases = [*broker.lease(1000), *broker.lease(1000)]
    assert [lease.payload for lease in leases] == payloads
    assert [lease.id for lease in leases] == ids


@on_postgres
@pytest.mark.parametrize("payload", ["Gr\u00fc\u00dfe", ""])
def test_any_text_comes_back(broker: ORM, payload: str) -> None:
    broker.enqueue(payload)

    assert [lease.payload for lease in broker.lease()] == [payload]


@on_postgres
@pytest.mark.parametrize("payloads", [["a\0b"], ["a", "a\0b"]])
def test_nul_is_refused_and_not_cut_off(
    broker: ORM, direct: mock.Mock, payloads: list[str]
) -> None:
    with pytest.raises((BrokerError, ValueError)):
        broker.enqueue_many(payloads)

    assert not direct.called and broker.queue_size() == 0


@on_postgres
def test_a_transaction_has_it_with_the_rest(broker: ORM, direct: mock.Mock) -> None:
    with pytest.raises(LookupError), transaction.atomic(using=broker.alias):
        broker.enqueue("a")
        broker.enqueue_many("bc")
        raise LookupError

    assert broker.queue_size() == 0
    assert not direct.called


@on_postgres
def test_who_looks_at_statements_sees_it(broker: ORM, direct: mock.Mock) -> None:
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
    assert not direct.called


@on_postgres
def test_a_cursor_of_somebodys_own_is_used(broker: ORM, direct: mock.Mock) -> None:
    raw = connection_of(broker).connection
    usual = raw.cursor_factory
    raw.cursor_factory = type("Traced", (usual,), {})
    try:
        broker.enqueue("a")
    finally:
        raw.cursor_factory = usual

    assert not direct.called and broker.queue_size() == 1


@on_postgres
def test_a_connection_whose_cursors_are_somebodys_own_is_left_to_them(
    broker: ORM, direct: mock.Mock
) -> None:
    # So does Django's SimpleTestCase, that no test writes unless it says so.
    with mock.patch.object(connection_of(broker), "cursor", side_effect=LookupError):
        with pytest.raises(LookupError):
            broker.enqueue("a")

    assert not direct.called and broker.queue_size() == 0


@on_postgres
def test_priorities_and_delays_go_the_plain_way(broker: ORM, direct: mock.Mock) -> None:
    broker.enqueue_many(["a"], priority=1)
    broker.enqueue_many(["b"], delay=60)
    broker.enqueue_many("cd", priority=-1)
    broker.enqueue_many("ef", delay=60)

    assert not direct.called
    assert [lease.payload for lease in broker.lease(9)] == ["a", "c", "d"]


@on_postgres
@pytest.mark.parametrize("payload", ["payload: %s $1 \\ '", "Gr\u00fc\u00dfe", ""])
def test_the_row_that_was_told_is_claimed_the_short_way_as_by_a_cursor(
    broker: ORM, direct: mock.Mock, payload: str
) -> None:
    one, other = map(int, broker.enqueue_many([payload] * 2))
    rows = Rows(connection_of(broker), broker.list_key)
    direct.reset_mock()

    short = rows.claim_told(one, "a token")
    assert direct.call_count == 1
    with mock.patch.object(orm_direct, "is_open", lambda *args: False):
        plain = rows.claim_told(other, "a token")
    assert direct.call_count == 1

    assert (short, plain) == ([(one, payload, 1)], [(other, payload, 1)])
    lent = list(OrmQ.objects.using(broker.alias).filter(id__in=[one, other]).order_by("id"))
    assert [(row.token, row.deliveries) for row in lent] == [("a token", 1)] * 2
    assert 0 <= (lent[1].lock - lent[0].lock).total_seconds() < 1
    assert lent[0].lock > timezone.now() + timedelta(seconds=Conf.RETRY - 30)
    assert rows.claim_told(one, "another") == []


@on_postgres
def test_a_refusal_is_an_error_of_django_and_leaves_the_connection_in_use(broker: ORM) -> None:
    connection = connection_of(broker)
    assert orm_direct.is_open(connection, [])

    with pytest.raises(ProgrammingError, match="nowhere") as caught:
        orm_direct.fetch(connection, "SELECT $1 FROM nowhere", ["a"])

    assert caught.value.__cause__.sqlstate == "42P01"  # type: ignore[union-attr]
    assert orm_direct.fetch(connection, "SELECT $1::text", ["a"]) == [["a"]]
    assert broker.queue_size() == 0


@on_postgres
@pytest.mark.parametrize("payloads", ["a", "ab"])
def test_a_listener_is_woken(broker: ORM, direct: mock.Mock, payloads: str) -> None:
    connection = connection_of(broker)

    with connection.cursor() as cursor:
        cursor.execute(f'LISTEN "{channel(broker.list_key)}"')
    broker.enqueue_many(payloads)
    try:
        heard = next(connection.connection.notifies(timeout=10, stop_after=1), None)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("UNLISTEN *")

    assert direct.called and heard is not None


@pytest.mark.parametrize(
    "database", [a for a in databases.ALIASES if a != "postgres"], indirect=True
)
def test_other_databases_do_not_go_this_way(broker: ORM, direct: mock.Mock) -> None:
    broker.enqueue("a")
    broker.enqueue_many("bc")

    assert not direct.called and not orm_direct.is_open(connection_of(broker), [])
