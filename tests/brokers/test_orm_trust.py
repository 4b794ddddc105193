"""Who has heard on PostgreSQL that something came, while he waited, need not look each second."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections

from django_q.brokers import orm
from django_q.brokers.orm import ORM
from django_q.brokers.orm_wait import Notifications
from django_q.testing import BrokerSuite

pytestmark = pytest.mark.parametrize("database", ["postgres"], indirect=True)

#: Seconds of one wait in which nothing is to come.
_SHORT = 0.05


@pytest.fixture
def broker(database: str, q_cluster: Callable[..., Any]) -> ORM:
    """A broker on an empty queue, which nothing has been told yet."""
    q_cluster(orm=database)
    return ORM(BrokerSuite.queue_name())


@pytest.fixture
def trusting(broker: ORM) -> ORM:
    """One that was told of a package while it waited, and found nothing more since."""
    return _made_trusting(broker)


@pytest.fixture(params=["sure", "plain"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relying on what is told, and looking each time: what is lent is the same."""
    if request.param == "plain":
        monkeypatch.setattr(Notifications, "is_sure", lambda *args: False)


def _made_trusting(broker: ORM) -> ORM:
    waiting = threading.Timer(0.1, _elsewhere, [lambda: ORM(broker.list_key).enqueue("first")])
    waiting.start()
    (lease,) = broker.lease(1, 30.0)
    waiting.join()
    broker.acknowledge_many([lease.receipt])
    assert broker.lease(1, _SHORT) == []
    return broker


def _elsewhere(work: Callable[[], Any]) -> None:
    """Do something on a connection of another thread."""

    def do() -> None:
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=do)
    thread.start()
    thread.join()


def _send_as_an_old_producer(broker: ORM) -> None:
    text = """INSERT INTO django_q_ormq ("key", "payload", "lock") VALUES (%s, 'old', NOW())"""

    def insert() -> None:
        with connections[broker.alias].cursor() as cursor:
            cursor.execute(text, [broker.list_key])

    _elsewhere(insert)


@contextlib.contextmanager
def _asked(broker: ORM) -> Iterator[list[str]]:
    """Note the statements of this thread."""
    found: list[str] = []

    def note(execute: Any, sql: str, *words: Any) -> Any:
        found.append(sql)
        return execute(sql, *words)

    with connections[broker.alias].execute_wrapper(note):
        yield found


def _wait_in_vain(broker: ORM, times: int) -> None:
    for _ in range(times):
        assert broker.lease(1, _SHORT) == []


def test_who_was_told_while_he_waited_asks_nothing_more(trusting: ORM) -> None:
    with _asked(trusting) as asked:
        _wait_in_vain(trusting, 3)

    assert asked == []


def test_who_was_told_nothing_yet_looks_each_time(broker: ORM) -> None:
    _wait_in_vain(broker, 2)

    with _asked(broker) as asked:
        _wait_in_vain(broker, 3)

    assert len(asked) == 3


def test_what_comes_with_an_answer_proves_nothing(broker: ORM) -> None:
    # A pgbouncer that shares sessions hands on what another one listens to, with an answer.
    _wait_in_vain(broker, 1)
    _elsewhere(lambda: ORM(broker.list_key).enqueue("a"))
    assert broker.lock_size() == 0
    (lease,) = broker.lease(1, 30.0)
    broker.acknowledge_many([lease.receipt])
    _wait_in_vain(broker, 1)

    with _asked(broker) as asked:
        _wait_in_vain(broker, 3)

    assert len(asked) == 3


def test_who_was_told_looks_all_the_same_when_some_time_is_over(
    trusting: ORM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orm, "_LONGEST_TRUST", 0.0)
    monkeypatch.setattr(trusting, "_read_again", 0.0)

    with _asked(trusting) as asked:
        _wait_in_vain(trusting, 3)

    assert len(asked) == 3


@pytest.mark.usefixtures("way")
def test_what_comes_while_he_does_something_else_is_lent(trusting: ORM) -> None:
    _elsewhere(lambda: ORM(trusting.list_key).enqueue("a"))
    # Its answer brings the notification along.
    assert trusting.lock_size() == 0

    assert [lease.payload for lease in trusting.lease(1, _SHORT)] == ["a"]


@pytest.mark.usefixtures("way")
def test_what_is_delayed_is_lent_when_it_is_due(trusting: ORM) -> None:
    _elsewhere(lambda: ORM(trusting.list_key).enqueue_many(["later"], delay=0.3))

    assert [lease.payload for lease in trusting.lease(1, 3.0)] == ["later"]


@pytest.mark.usefixtures("way")
def test_what_another_one_lost_is_lent_when_its_lease_lapses(
    broker: ORM, q_cluster: Callable[..., Any]
) -> None:
    q_cluster(orm=broker.alias, retry=1)
    _made_trusting(broker)
    other = ORM(broker.list_key)
    _elsewhere(lambda: other.enqueue("lost") and other.lease(1))

    lent = broker.lease(1, 4.0)

    assert [(lease.payload, lease.deliveries) for lease in lent] == [("lost", 2)]


def test_after_something_came_that_nobody_told_he_looks_each_time(
    trusting: ORM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trusting, "_read_again", 0.0)
    _send_as_an_old_producer(trusting)
    (lease,) = trusting.lease(1, _SHORT)
    trusting.acknowledge_many([lease.receipt])
    _made_trusting(trusting)

    with _asked(trusting) as asked:
        _wait_in_vain(trusting, 3)

    assert (lease.payload, len(asked)) == ("old", 3)


def test_on_a_new_connection_he_looks_until_he_is_told_again(trusting: ORM) -> None:
    connections[trusting.alias].close()
    _wait_in_vain(trusting, 1)

    with _asked(trusting) as asked:
        _wait_in_vain(trusting, 3)

    assert len(asked) == 3
