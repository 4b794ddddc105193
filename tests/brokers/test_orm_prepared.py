"""The statement that keeps a task, prepared on PostgreSQL where it comes often."""

from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from django.db import DataError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from django_q.brokers import orm_direct
from django_q.brokers.orm import ORM
from django_q.testing import BrokerSuite

on_postgres = pytest.mark.parametrize("database", ["postgres"], indirect=True)


@pytest.fixture
def broker(database: str, q_cluster: Callable[..., Any]) -> ORM:
    """A broker on an empty queue, over a connection of its own."""
    q_cluster(orm=database)
    connections[database].close()
    broker = ORM(BrokerSuite.queue_name())
    assert broker.queue_size() == 0
    return broker


def connection_of(broker: ORM) -> BaseDatabaseWrapper:
    return connections[broker.alias]


def prepared(connection: BaseDatabaseWrapper) -> int:
    """Count the statements of ours that the server keeps for this connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM pg_prepared_statements WHERE name LIKE 'django_q_%%'")
        return int(cursor.fetchone()[0])


@on_postgres
def test_a_statement_that_comes_often_is_prepared(broker: ORM) -> None:
    connection = connection_of(broker)

    ids = [broker.enqueue(str(number)) for number in range(4)]
    assert prepared(connection) == 0
    ids += [broker.enqueue(str(number)) for number in range(4, 9)]
    assert prepared(connection) == 1
    ids += [id for _ in range(9) for id in broker.enqueue_many("xy")]

    assert prepared(connection) == 2
    leases = broker.lease(99)
    assert [lease.id for lease in leases] == ids
    assert [lease.payload for lease in leases] == [*map(str, range(9)), *"xy" * 9]


@on_postgres
def test_a_statement_that_is_gone_is_sent_in_full(broker: ORM) -> None:
    connection = connection_of(broker)
    for number in range(9):
        broker.enqueue(str(number))

    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")
    for number in range(9, 18):
        broker.enqueue(str(number))

    assert prepared(connection) == 0
    assert [lease.payload for lease in broker.lease(99)] == list(map(str, range(18)))


@on_postgres
def test_a_statement_that_somebody_else_has_prepared_is_used(broker: ORM) -> None:
    connection = connection_of(broker)
    for number in range(9):
        broker.enqueue(str(number))

    # As behind a pooler, which gave this server to another process before.
    vars(connection.connection).pop("django_q_uses")
    for number in range(9, 18):
        broker.enqueue(str(number))

    assert prepared(connection) == 1
    assert [lease.payload for lease in broker.lease(99)] == list(map(str, range(18)))


@on_postgres
def test_a_new_connection_begins_anew(broker: ORM) -> None:
    for number in range(9):
        broker.enqueue(str(number))

    broker.close()
    for number in range(9, 13):
        broker.enqueue(str(number))

    assert prepared(connection_of(broker)) == 0
    assert [lease.payload for lease in broker.lease(99)] == list(map(str, range(13)))


@on_postgres
def test_a_table_that_has_changed_is_read_all_the_same(broker: ORM) -> None:
    connection = connection_of(broker)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE changing AS SELECT 7::int AS seen")
    text = "SELECT seen FROM changing WHERE $1 = 'a'"
    before = [orm_direct.fetch(connection, text, ["a"]) for _ in range(9)]
    assert prepared(connection) == 1

    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE changing ALTER seen TYPE text")
    after = [orm_direct.fetch(connection, text, ["a"]) for _ in range(9)]

    assert before == after == [[["7"]]] * 9
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE changing")


@on_postgres
def test_a_prepared_statement_is_refused_as_any_other(broker: ORM) -> None:
    connection, text = connection_of(broker), "SELECT 1 / $1::int"
    for _ in range(9):
        orm_direct.fetch(connection, text, ["1"])

    for _ in range(2):
        with pytest.raises(DataError, match="division by zero"):
            orm_direct.fetch(connection, text, ["0"])

    assert orm_direct.fetch(connection, text, ["1"]) == [["1"]]
    assert prepared(connection) == 1


@on_postgres
@pytest.mark.parametrize(
    "setting", [{"DISABLE_SERVER_SIDE_CURSORS": True}, {"OPTIONS": {"prepare_threshold": None}}]
)
def test_nothing_is_prepared_where_the_settings_speak_of_a_pooler(
    broker: ORM, setting: dict[str, Any]
) -> None:
    connection = connection_of(broker)

    with mock.patch.dict(connection.settings_dict, setting):
        for number in range(9):
            broker.enqueue(str(number))

    assert prepared(connection) == 0 and broker.queue_size() == 9
