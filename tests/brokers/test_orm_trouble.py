"""The ORM broker when its database is away, locked, or not what it should be."""

import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from django_q.brokers import orm_trouble
from django_q.brokers.orm import ORM
from django_q.exceptions import BrokerError, BrokerUnavailable, PayloadTooLarge
from django_q.testing import BrokerSuite
from tests.servers import Server
from tests.site import databases

on_servers = pytest.mark.parametrize("database", ["postgres", "mariadb"], indirect=True)


@pytest.fixture
def broker(database: str, q_cluster: Callable[..., Any]) -> ORM:
    """A broker on an empty queue."""
    q_cluster(orm=database)
    return ORM(BrokerSuite.queue_name())


@pytest.fixture
def server(broker: ORM, request: pytest.FixtureRequest) -> Server:
    """The server behind the broker."""
    server: Server = request.getfixturevalue(broker.alias)
    return server


# Away.


@on_servers
def test_a_dead_connection_is_replaced(broker: ORM, server: Server) -> None:
    broker.enqueue_many("ab")
    server.restart()

    (lease,) = broker.lease()
    server.restart()
    broker.acknowledge_many([lease.receipt])

    assert (broker.queue_size(), broker.lock_size()) == (1, 0)


@on_servers
def test_an_enqueue_notices_that_its_connection_is_dead(broker: ORM, server: Server) -> None:
    broker.enqueue("a")
    server.restart()

    broker.enqueue("b")

    assert [lease.payload for lease in broker.lease(9)] == ["a", "b"]


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_connection_that_was_cut_at_rest_is_given_up(broker: ORM) -> None:
    broker.queue_size()
    connection = connections[broker.alias]
    orm_trouble.close_hung_up()
    assert connection.connection is not None
    with socket.fromfd(connection.connection.fileno(), socket.AF_INET, socket.SOCK_STREAM) as end:
        end.shutdown(socket.SHUT_RDWR)

    orm_trouble.close_hung_up()

    with connection.cursor() as cursor:  # as a task does, without another try
        cursor.execute("SELECT 1")


@on_servers
def test_what_cannot_be_repeated_is_not(broker: ORM) -> None:
    broker.queue_size()
    tries: list[int] = []

    def action(connection: BaseDatabaseWrapper) -> None:
        tries.append(1)
        raise OperationalError("server closed the connection unexpectedly")

    with pytest.raises(BrokerUnavailable):
        orm_trouble.run(broker.alias, action, repeatable=False)

    assert len(tries) == 1
    assert connections[broker.alias].connection is None


@on_servers
def test_a_call_works_again_when_the_server_is_back(broker: ORM, server: Server) -> None:
    broker.queue_size()
    server.kill()
    try:
        for call in (broker.lease, broker.queue_size, lambda: broker.enqueue("b")):
            with pytest.raises(BrokerUnavailable) as caught:
                call()
            assert f'"{broker.alias}"' in str(caught.value)
            assert f"127.0.0.1:{server.port}" in str(caught.value)
        assert not broker.ping()
    finally:
        server.restart()

    assert broker.ping()
    assert broker.enqueue("a")
    assert [lease.payload for lease in broker.lease(9, 1.0)] == ["a"]


@on_servers
def test_a_wait_ends_when_the_server_dies(broker: ORM, server: Server) -> None:
    ends: list[object] = []

    def wait() -> None:
        waiting = ORM(broker.list_key)
        try:
            ends.append(waiting.lease(1, 30.0))
        except BrokerUnavailable as error:
            ends.append(error)
        waiting.close()

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.3)
    server.kill()
    try:
        thread.join(5.0)
        assert isinstance(ends[0], BrokerUnavailable)
    finally:
        server.restart()


def test_an_error_names_all_but_the_password(database: str, q_cluster: Callable[..., Any]) -> None:
    for alias, engine, port in (("pg", "postgresql", 5432), ("my", "mysql", 3306)):
        entry = {
            **connections.settings["default"],
            **{"ENGINE": f"django.db.backends.{engine}", "NAME": "x", "OPTIONS": {}},
            **{"HOST": "127.0.0.2", "USER": "u", "PASSWORD": "very secret", "PORT": ""},
        }
        q_cluster(orm=alias)

        with databases.guest(alias, entry), pytest.raises(BrokerUnavailable) as caught:
            ORM().lease()

        assert f'"{alias}"' in str(caught.value)
        assert f"127.0.0.2:{port} is not available: " in str(caught.value).replace(")", "")
        assert "very secret" not in str(caught.value)


# Locked.


@pytest.fixture
def writer(broker: ORM) -> sqlite3.Connection:
    """Another process's connection to the SQLite file; ours does not wait for its locks."""
    with connections[broker.alias].cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 0")
    name = connections[broker.alias].settings_dict["NAME"]
    return sqlite3.connect(name, isolation_level=None, check_same_thread=False)


def test_a_locked_file_is_waited_for(broker: ORM, writer: sqlite3.Connection) -> None:
    broker.enqueue("a")
    writer.execute("BEGIN IMMEDIATE")
    threading.Timer(0.3, writer.rollback).start()
    began = time.monotonic()

    (lease,) = broker.lease()

    assert lease.payload == "a"
    assert time.monotonic() - began > 0.2
    writer.close()


def test_a_file_that_stays_locked_is_told(
    broker: ORM, writer: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orm_trouble, "PATIENCE", 0.2)
    writer.execute("BEGIN IMMEDIATE")

    with pytest.raises(BrokerUnavailable, match=r"sqlite3\) is not available: database is locked"):
        broker.enqueue("a")

    writer.rollback()
    assert broker.enqueue("a")
    writer.close()


def test_an_idle_look_asks_for_no_lock(broker: ORM, writer: sqlite3.Connection) -> None:
    broker.enqueue_many(["later"], delay=60)
    writer.execute("BEGIN IMMEDIATE")

    assert broker.lease() == []
    assert broker.lease(1, 0.1) == []

    writer.rollback()
    writer.close()


@on_servers
def test_who_deadlocked_tries_again(broker: ORM) -> None:
    ids = broker.enqueue_many("ab")
    met = threading.Barrier(2)
    tries: list[str] = []

    def cross(own: str, other: str) -> None:
        def action(connection: BaseDatabaseWrapper) -> None:
            tries.append(own)
            with transaction.atomic(broker.alias):
                _touch(connection, own)
                if tries.count(own) == 1:
                    met.wait(10)
                _touch(connection, other)

        orm_trouble.run(broker.alias, action)
        connections[broker.alias].close()

    threads = [threading.Thread(target=cross, args=pair) for pair in (ids, reversed(ids))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(tries) == 3


def _touch(connection: BaseDatabaseWrapper, id: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_q_ormq SET deliveries = deliveries + 1 WHERE id = %s", [id])


@on_servers
def test_in_a_transaction_a_deadlock_is_for_whoever_began_it(broker: ORM) -> None:
    def action(connection: BaseDatabaseWrapper) -> None:
        raise OperationalError(1213, "Deadlock found when trying to get lock")

    with pytest.raises(OperationalError, match="Deadlock"), transaction.atomic(broker.alias):
        orm_trouble.run(broker.alias, action)


# Refused.


def test_missing_tables_are_told(
    tmp_path: Path, database: str, q_cluster: Callable[..., Any]
) -> None:
    empty = {**connections.settings[database], "NAME": tmp_path / "empty.sqlite3"}
    q_cluster(orm="empty")

    with (
        databases.guest("empty", empty),
        pytest.raises(BrokerError, match="no such table.* manage.py migrate --database empty"),
    ):
        ORM().lease()


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_a_package_larger_than_the_server_takes_is_told(broker: ORM) -> None:
    with pytest.raises(PayloadTooLarge, match="33554432 bytes is larger than the 16773120 "):
        broker.enqueue("x" * 2**25)

    assert broker.enqueue("x" * 16773120)
