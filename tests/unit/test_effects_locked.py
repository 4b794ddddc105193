"""Tasks with `atomic` where somebody else keeps SQLite locked: waiting is no part of the task."""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from django_q.cluster.scoreboard import Phase
from django_q.models import OrmQ, Task
from tests.site.effects import effects
from tests.unit.leased_effects import run, send, take

pytestmark = pytest.mark.usefixtures("database")

#: How long the lock is held, and the limit of a task, which is over before.
HELD, LIMIT = 1.0, 0.2


@pytest.fixture(autouse=True)
def _on_orm(q_cluster: Callable[..., Any]) -> None:
    q_cluster(orm="default", save_limit=0)


@contextlib.contextmanager
def locked(*statements: str) -> Iterator[Callable[[], object]]:
    """Lock the database from another connection; the function that is given unlocks it."""
    other = sqlite3.connect(
        connection.settings_dict["NAME"], isolation_level=None, check_same_thread=False
    )
    try:
        for statement in statements:
            other.execute(statement).fetchone()
        yield lambda: other.execute("ROLLBACK")
    finally:
        other.close()


def be_patient(seconds: float) -> None:
    """Let the connection of this test wait so long for a lock."""
    connection.ensure_connection()
    connection.connection.execute(f"PRAGMA busy_timeout = {seconds * 1000:.0f}")


@pytest.fixture
def old_journal(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A copy of the database with the journal that SQLite has by itself.

    There, who reads keeps others from committing.
    """
    copy = str(tmp_path / "copy.sqlite3")
    settings, other = connection.settings_dict, sqlite3.connect(copy)
    connection.ensure_connection()
    connection.connection.backup(other)
    other.execute("PRAGMA journal_mode = DELETE")
    other.close()
    connection.close()
    monkeypatch.setitem(settings, "NAME", copy)
    monkeypatch.setitem(settings, "OPTIONS", {**settings["OPTIONS"], "init_command": ""})
    yield
    connection.close()


def test_a_task_waits_for_the_lock_outside_of_its_limit() -> None:
    marks: list[tuple[Phase, float]] = []
    send("leave", "a", timeout=LIMIT)
    lease = take()

    with locked("BEGIN IMMEDIATE") as unlock:
        began = time.monotonic()
        timer = threading.Timer(HELD, unlock)
        timer.start()
        ended = run(lease, lambda phase: marks.append((phase, time.monotonic() - began)))
        timer.join()

    assert ended is not None and ended[0].success
    assert effects() == {"a": 1}
    (first, _), (second, running) = marks[:2]
    assert (first, second) == (Phase.CHECKING, Phase.RUNNING)
    # Only from here on the supervisor kills it for being late.
    assert running >= HELD > LIMIT


def test_where_the_lock_stays_the_run_is_void_and_costs_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    send("leave", "a")
    lease = take()
    be_patient(LIMIT)

    with locked("BEGIN IMMEDIATE"):
        assert run(lease) is None

    assert (
        "could not be begun, and is tried again: OperationalError: database is locked"
        in caplog.text
    )
    assert (lease.pause, lease.is_counted) == (1.0, False)
    assert (effects(), Task.objects.count(), OrmQ.objects.count()) == ({}, 0, 1)
    assert run(lease) is not None
    assert (effects(), Task.objects.count(), OrmQ.objects.count()) == ({"a": 1}, 1, 0)


@pytest.mark.usefixtures("old_journal")
def test_the_commit_waits_for_the_lock_outside_of_the_limit() -> None:
    marks: list[tuple[Phase, float]] = []
    send("leave", "a", timeout=LIMIT)
    lease = take()

    with locked("BEGIN", "SELECT * FROM django_q_ormq") as unlock:
        began = time.monotonic()
        timer = threading.Timer(HELD, unlock)
        timer.start()
        ended = run(lease, lambda phase: marks.append((phase, time.monotonic() - began)))
        timer.join()

    assert ended is not None and ended[0].success
    assert effects() == {"a": 1}
    assert [phase for phase, _ in marks] == [
        *(Phase.CHECKING, Phase.RUNNING, Phase.SETTLING, Phase.RUNNING)
    ]
    # It is settled at once, and committed when nobody reads.
    assert marks[2][1] < HELD <= marks[3][1]


@pytest.mark.usefixtures("old_journal")
def test_a_commit_that_finds_the_database_locked_leaves_nothing_and_is_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    send("leave", "a")
    lease = take()
    be_patient(LIMIT)

    with locked("BEGIN", "SELECT * FROM django_q_ormq"):
        assert run(lease) is None

    assert (
        "could not be committed, and is tried again: OperationalError: database is locked"
        in caplog.text
    )
    # It did run, so the next one looks up what became of it.
    assert (lease.pause, lease.is_counted) == (1.0, True)
    assert (effects(), Task.objects.count(), OrmQ.objects.count()) == ({}, 0, 1)
    assert run(lease) is not None
    assert (effects(), Task.objects.count(), OrmQ.objects.count()) == ({"a": 1}, 1, 0)
