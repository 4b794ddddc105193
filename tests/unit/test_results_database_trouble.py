"""Results in the database while it is in trouble: away, cut, locked, deadlocked."""

import random
import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import OperationalError, ProgrammingError, connections, transaction

from django_q.exceptions import ResultsUnavailable
from django_q.models import Task
from django_q.results import database as database_module
from django_q.results.attempts import Ending
from django_q.results.base import Row
from django_q.results.database import DatabaseStore
from django_q.results.statements import RowWriter
from tests.site import databases
from tests.unit.rows import make_row, run_again

pytestmark = pytest.mark.usefixtures("database")
everywhere = pytest.mark.parametrize("database", databases.ALIASES, indirect=True)
on_servers = pytest.mark.parametrize("database", ["postgres", "mariadb"], indirect=True)


@pytest.fixture
def store(database: str) -> DatabaseStore:
    return DatabaseStore()


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Function that makes the first inserts raise; gives a list that grows with each call."""

    def fail(error: Exception, times: int = 1_000) -> list[int]:
        usual, calls = RowWriter.insert, list[int]()

        def insert(self: RowWriter, rows: Sequence[Row]) -> None:
            calls.append(len(rows))
            if len(calls) <= times:
                raise error
            usual(self, rows)

        monkeypatch.setattr(RowWriter, "insert", insert)
        return calls

    return fail


def deadlock(alias: str) -> OperationalError:
    if alias == "mariadb":
        return OperationalError(1213, "Deadlock found when trying to get lock")
    if alias == "default":
        return OperationalError("database is locked")
    error = OperationalError("deadlock detected")
    cause = Exception()
    cause.sqlstate = "40P01"  # type: ignore[attr-defined]
    error.__cause__ = cause
    return error


def cut(alias: str) -> None:
    """End the session that this thread has with a server, as its administrator would."""
    questions = {"postgres": "SELECT pg_backend_pid()", "mariadb": "SELECT connection_id()"}
    orders = {"postgres": "SELECT pg_terminate_backend(%s)", "mariadb": "KILL %s"}
    with connections[alias].cursor() as cursor:
        cursor.execute(questions[alias])
        session = cursor.fetchone()[0]
    other = connections.create_connection(alias)
    with other.cursor() as cursor:
        cursor.execute(orders[alias], [session])
    other.close()


@everywhere
def test_a_database_that_fails_is_named(store: DatabaseStore, failing: Any) -> None:
    calls = failing(OperationalError("the disk is full"))

    with pytest.raises(ResultsUnavailable, match="the disk is full") as raised:
        store.save([make_row()])

    assert repr(store.alias) in str(raised.value)
    assert connections[store.alias].vendor in str(raised.value)
    assert isinstance(raised.value.__cause__, OperationalError)
    assert len(calls) <= 2


@on_servers
def test_its_connection_is_closed_then(store: DatabaseStore, failing: Any) -> None:
    failing(OperationalError("the disk is full"))

    with pytest.raises(ResultsUnavailable):
        store.save([make_row()])

    assert connections[store.alias].connection is None


@everywhere
def test_missing_tables_are_trouble_not_a_bad_row(store: DatabaseStore, failing: Any) -> None:
    failing(ProgrammingError('relation "django_q_task" does not exist'))

    with pytest.raises(ResultsUnavailable, match="does not exist"):
        store.save([make_row()])


@on_servers
def test_a_connection_that_was_cut_is_made_anew(store: DatabaseStore) -> None:
    store.save([make_row()])
    cut(store.alias)

    assert store.save([make_row()]) == []

    assert Task.objects.count() == 2


@on_servers
def test_looking_up_survives_a_cut_too(store: DatabaseStore) -> None:
    row = make_row()
    store.save([row])
    cut(store.alias)

    assert store.ending(row.id, 1) == Ending(True, took=row.stopped - row.started)


@everywhere
def test_a_deadlock_is_tried_again(store: DatabaseStore, failing: Any) -> None:
    calls = failing(deadlock(store.alias), times=5)

    assert store.save([make_row()]) == []

    assert len(calls) == 6
    assert Task.objects.count() == 1


@everywhere
def test_a_deadlock_that_stays_is_trouble(
    store: DatabaseStore, failing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "_PATIENCE", 0.2)
    failing(deadlock(store.alias))

    with pytest.raises(ResultsUnavailable, match="lock"):
        store.save([make_row()])


@everywhere
def test_in_a_transaction_of_the_caller_nothing_is_repeated(
    store: DatabaseStore, failing: Any
) -> None:
    calls = failing(deadlock(store.alias))

    with transaction.atomic(store.alias):
        with pytest.raises(ResultsUnavailable):
            store.save([make_row()])
        assert connections[store.alias].connection is not None

    assert len(calls) == 1


@everywhere
def test_in_a_transaction_of_the_caller_duplicates_are_fine(store: DatabaseStore) -> None:
    first = make_row()

    with transaction.atomic(store.alias):
        store.save([first])
        others = store.save([run_again(first, "second", success=True), make_row()])

    assert others == [first.id]
    assert Task.objects.count() == 2


def test_sqlite_waits_for_its_turn(store: DatabaseStore) -> None:
    connection = connections["default"]
    name = connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 0")
    rival = sqlite3.connect(name, isolation_level=None, check_same_thread=False)
    rival.execute("BEGIN IMMEDIATE")
    end = threading.Timer(0.3, rival.rollback)
    end.start()

    store.save([make_row()])

    end.join()
    rival.close()
    connection.close()
    assert Task.objects.count() == 1


def test_sqlite_takes_the_right_to_write_before_it_reads(
    store: DatabaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection: Any = connections["default"]
    connection.ensure_connection()
    monkeypatch.setattr(connection, "transaction_mode", None)
    statements: list[str] = []
    connection.connection.set_trace_callback(statements.append)

    store.save([make_row()], Task.objects.count)  # type: ignore[arg-type]

    connection.connection.set_trace_callback(None)
    assert statements[0] == "BEGIN IMMEDIATE"
    assert connection.transaction_mode is None


@everywhere
def test_writers_of_the_same_tasks_agree_on_one_run(store: DatabaseStore) -> None:
    tasks = [make_row() for _ in range(60)]
    dropped: list[str] = []
    errors: list[Exception] = []

    def write(minute: int) -> None:
        rows = [make_row(minute, minute=minute, id=task.id) for task in tasks]
        random.Random(minute).shuffle(rows)
        try:
            for start in range(0, len(rows), 20):
                dropped.extend(DatabaseStore(store.alias).save(rows[start : start + 20]))
        except Exception as error:
            errors.append(error)
        connections.close_all()

    writers = [threading.Thread(target=write, args=[minute]) for minute in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert errors == []
    assert Task.objects.filter(success=True, attempt_count=1).count() == 60
    # Of four runs of each task, three were told that another stands.
    assert sorted(dropped) == sorted([task.id for task in tasks] * 3)
