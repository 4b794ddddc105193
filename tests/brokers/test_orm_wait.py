"""What those who wait at PostgreSQL are told, and what comes of it."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections, transaction

from django_q.brokers.orm import ORM
from django_q.brokers.orm_sql import statements
from django_q.brokers.orm_wait import Notifications, channel
from django_q.testing import BrokerSuite
from tests.waiting import wait_until

pytestmark = pytest.mark.parametrize("database", ["postgres"], indirect=True)


@pytest.fixture
def broker(database: str, q_cluster: Callable[..., Any]) -> ORM:
    """A broker on an empty queue."""
    q_cluster(orm=database)
    return ORM(BrokerSuite.queue_name())


def _elsewhere(work: Callable[[], Any]) -> Any:
    """Do something on a connection of another thread; what it gave."""
    given: list[Any] = []

    def do() -> None:
        try:
            given.append(work())
        finally:
            connections.close_all()

    thread = threading.Thread(target=do)
    thread.start()
    thread.join()
    return given[0]


def _tell(broker: ORM, words: str) -> None:
    with connections[broker.alias].cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [channel(broker.list_key), words])


@contextlib.contextmanager
def _waiting(broker: ORM) -> Iterator[tuple[list[Any], list[str]]]:
    """Let a thread wait for a package: what it was lent, and the statements since it waits."""
    lent: list[Any] = []
    heard: list[str] = []
    wait = Notifications.wait

    def note(execute: Any, sql: str, *words: Any) -> Any:
        heard.append(sql)
        return execute(sql, *words)

    def work() -> None:
        consumer = ORM(broker.list_key)
        try:
            with connections[broker.alias].execute_wrapper(note):
                lent.extend(consumer.lease(3, 30.0))
        finally:
            consumer.close()

    is_waiting = threading.Event()

    def wait_and_say(self: Notifications, connection: Any, seconds: float) -> None:
        if not is_waiting.is_set():
            heard.clear()
        is_waiting.set()
        wait(self, connection, seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Notifications, "wait", wait_and_say)
        thread = threading.Thread(target=work)
        thread.start()
        assert is_waiting.wait(20)
        yield lent, heard
        thread.join()


@pytest.fixture(params=["which", "that"])
def told(request: pytest.FixtureRequest, broker: ORM, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether those who wait are told which row came, or only that there is one."""
    if request.param == "that":
        sql = statements(connections[broker.alias])
        monkeypatch.setattr(sql, "insert_and_tell_which", sql.insert_and_tell)
        plain = sql.insert_plain_and_tell.replace('"id"::text', "''")
        monkeypatch.setattr(sql, "insert_plain_and_tell", plain)
    return str(request.param)


def test_who_waits_is_lent_the_same_whatever_he_is_told(broker: ORM, told: str) -> None:
    with _waiting(broker) as (lent, heard):
        id = broker.enqueue("a")

    (lease,) = lent
    assert (lease.payload, lease.id, lease.deliveries) == ("a", id, 1)
    # One small statement where it is told which; else, at the earliest, a claim.
    is_short = all("WITH RECURSIVE" not in sql for sql in heard)
    assert is_short is (told == "which")
    assert broker.lease(1) == []
    assert broker.renew([lease.receipt]) == [lease.receipt]
    broker.acknowledge_many([lease.receipt])
    assert (broker.queue_size(), broker.lock_size()) == (0, 0)


def test_who_was_too_late_waits_on_for_the_next(broker: ORM) -> None:
    first = broker.enqueue("taken")
    broker.lease(1)

    with _waiting(broker) as (lent, heard):
        _tell(broker, first)
        wait_until(lambda: heard, what="a look at the row that was told")
        broker.enqueue("next")

    assert [lease.payload for lease in lent] == ["next"]


@pytest.mark.parametrize("words", ["", "-1", "no number", "9" * 5000, "\u0663", "9" * 19])
def test_words_that_name_no_row_are_taken_for_a_hint_at_most(broker: ORM, words: str) -> None:
    with _waiting(broker) as (lent, _):
        _tell(broker, words)
        broker.enqueue("a")

    assert [lease.payload for lease in lent] == ["a"]


def test_a_row_of_another_queue_is_not_lent(broker: ORM) -> None:
    other = ORM(BrokerSuite.queue_name())
    foreign = other.enqueue("foreign")

    with _waiting(broker) as (lent, _):
        _tell(broker, foreign)
        broker.enqueue("a")

    assert [lease.payload for lease in lent] == ["a"]
    assert other.queue_size() == 1


def _one(broker: ORM) -> None:
    broker.enqueue("a")


def _one_with_priority(broker: ORM) -> None:
    broker.enqueue_many(["a"], priority=5)


def _two(broker: ORM) -> None:
    for payload in "ab":
        broker.enqueue(payload)


def _in_bulk(broker: ORM) -> None:
    broker.enqueue_many("abc")


def _delayed(broker: ORM) -> None:
    broker.enqueue_many(["a"], delay=60)


def _in_a_transaction(broker: ORM) -> None:
    with transaction.atomic(broker.alias):
        for payload in "abc":
            broker.enqueue(payload)


@pytest.mark.parametrize(
    ("send", "is_named", "times"),
    [
        (_one, True, 1),
        (_one_with_priority, True, 1),
        (_two, False, 2),
        (_in_bulk, False, 1),
        (_delayed, False, 1),
        (_in_a_transaction, False, 1),
    ],
)
def test_it_is_told_which_row_came_where_that_is_one(
    broker: ORM, monkeypatch: pytest.MonkeyPatch, send: Any, is_named: bool, times: int
) -> None:
    connection = connections[broker.alias]
    watch = Notifications(broker.list_key)
    watch.begin(connection)
    heard: list[str] = []
    monkeypatch.setattr(watch, "_told", heard)

    _elsewhere(lambda: send(ORM(broker.list_key)))
    watch.wait(connection, 10.0)

    ids = [lease.id for lease in broker.lease(10)]
    assert watch.news == (ids[0] if is_named else "")
    assert len(heard) == times


def test_who_is_busy_keeps_nothing_of_what_he_is_told(broker: ORM) -> None:
    connection = connections[broker.alias]
    watch = Notifications(broker.list_key)
    watch.begin(connection)

    for _ in range(5):
        _elsewhere(lambda: ORM(broker.list_key).enqueue("a"))
        broker.lease(1)

    assert len(watch._told) == 2
    watch.begin(connection)
    assert watch._told == []
