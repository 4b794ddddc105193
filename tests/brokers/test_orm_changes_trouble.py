"""Where no events come of commits to SQLite, and where files and processes come and go."""

import contextlib
import os
import subprocess
import sys
import time
from typing import Any

import pytest

from django_q.brokers import orm_changes
from django_q.brokers.orm import ORM
from django_q.brokers.orm_changes import ChangeCounter, ChangeEvents
from tests.brokers.waited_at import (
    NEVER,
    WaitedAt,
    both_ways,
    connect,
    in_mode_delete,
    on_linux,
    soon,
)
from tests.waiting import wait_until


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks by himself every second."""
    monkeypatch.setattr(orm_changes, "LONGEST", NEVER)


def _notices(watch: ChangeCounter, waited_at: WaitedAt, times: int = 1) -> bool:
    """Let commits be noticed; tell whether that did not take as long as nobody is to wait."""
    began = time.monotonic()
    for _ in range(times):
        watch.begin(waited_at.here)
        with soon(waited_at.commit, 0.1):
            assert watch.wait(waited_at.here, NEVER)
    return time.monotonic() - began < NEVER / 2


# Where no events come.


@on_linux
@pytest.mark.usefixtures("patient")
def test_who_has_seen_no_event_goes_on_looking(waited_at: WaitedAt) -> None:
    watch = ChangeEvents("queue")
    watch.begin(waited_at.here)

    # Long enough for pauses to have grown, if they did.
    assert not watch.wait(waited_at.here, 1.0)

    assert not watch._is_proven
    assert watch._pause == orm_changes._LONG


@on_linux
@pytest.mark.usefixtures("patient")
def test_where_events_never_come_commits_are_noticed_all_the_same(waited_at: WaitedAt) -> None:
    watch = ChangeEvents("queue")
    watch.begin(waited_at.here)
    watch._events = waited_at.deaf()

    assert _notices(watch, waited_at, 3)

    assert not watch._is_proven
    assert watch._events is None


@on_linux
def test_one_commit_without_an_event_is_enough_to_look_all_the_time(waited_at: WaitedAt) -> None:
    watch = waited_at.proven()
    watch._events = waited_at.deaf()
    # Long after the last event, and so one that nothing told of.
    assert not watch.wait(waited_at.here, 2 * orm_changes._SHARED)
    assert _notices(watch, waited_at)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(orm_changes, "LONGEST", NEVER)
        assert _notices(watch, waited_at, 3)

    assert watch._events is None


@on_linux
def test_a_commit_right_before_the_watch_says_nothing_of_events(
    waited_at: WaitedAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch_file = ChangeEvents._watch

    def watch_too_late(self: ChangeEvents, *file: Any) -> None:
        waited_at.commit()
        watch_file(self, *file)

    monkeypatch.setattr(ChangeEvents, "_watch", watch_too_late)
    watch = ChangeEvents("queue")

    watch.begin(waited_at.here)
    assert not watch.wait(waited_at.here, 2 * orm_changes._SHARED)

    assert _notices(watch, waited_at, 2)
    assert watch._is_proven
    assert watch._events is not None


@both_ways
def test_on_other_systems_it_is_looked_at(
    waited_at: WaitedAt, kind: type[ChangeCounter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    watch = kind("queue")

    assert _notices(watch, waited_at, 2)

    assert getattr(watch, "_events", None) is None


# Files that come and go.


def _watched(watch: ChangeEvents) -> bytes:
    assert watch._events is not None
    assert watch._watched is not None and watch._watched[1] is not None
    return watch._watched[1].path


@on_linux
@in_mode_delete
def test_a_write_ahead_log_is_watched_once_there_is_one(waited_at: WaitedAt) -> None:
    watch = waited_at.proven()
    assert _watched(watch) == os.fsencode(waited_at.file)

    watch.begin(waited_at.here)
    with soon(lambda: waited_at.other.execute("PRAGMA journal_mode = WAL")):
        assert watch.wait(waited_at.here, NEVER)

    assert _notices(watch, waited_at, 2)
    assert _watched(watch) == os.fsencode(waited_at.log)


@on_linux
def test_a_write_ahead_log_may_go_and_come_back(waited_at: WaitedAt) -> None:
    watch = waited_at.proven()

    waited_at.here.close()
    # Nobody else has it open, so it goes.
    waited_at.other.execute("PRAGMA journal_mode = DELETE")
    assert not waited_at.log.exists()
    assert _notices(watch, waited_at, 2)
    assert _watched(watch) == os.fsencode(waited_at.file)

    waited_at.here.close()
    waited_at.other.execute("PRAGMA journal_mode = WAL")
    assert _notices(watch, waited_at, 2)
    assert _watched(watch) == os.fsencode(waited_at.log)


@on_linux
def test_a_write_ahead_log_that_was_made_anew_is_another(waited_at: WaitedAt) -> None:
    watch = waited_at.proven()
    events = watch._events

    # It goes with the last who has it open. The new one may have its number.
    waited_at.here.close()
    waited_at.other.close()
    waited_at.other = connect(waited_at.file)
    assert _notices(watch, waited_at, 3)

    assert _watched(watch) == os.fsencode(waited_at.log)
    assert watch._events is not events
    assert watch._is_proven


@on_linux
def test_another_database_may_take_the_place_of_this_one(waited_at: WaitedAt) -> None:
    watch = waited_at.proven()
    copy = waited_at.file.with_name("copy")
    waited_at.other.execute("VACUUM INTO ?", [str(copy)])
    waited_at.here.close()
    waited_at.other.close()

    os.replace(copy, waited_at.file)
    waited_at.other = connect(waited_at.file)

    assert _notices(watch, waited_at, 2)
    assert _watched(watch) == os.fsencode(waited_at.file)


@on_linux
def test_a_database_that_is_packed_anew_is_watched_on(waited_at: WaitedAt) -> None:
    watch = waited_at.proven()

    for statement in ("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
        waited_at.other.execute(statement)
        assert _notices(watch, waited_at, 2)

    assert _watched(watch) == os.fsencode(waited_at.log)


# Processes.


@on_linux
@pytest.mark.usefixtures("patient")
def test_a_fork_takes_no_events_away(waited_at: WaitedAt) -> None:
    watch = waited_at.proven()
    # Connections are nothing to share with a fork.
    waited_at.here.close()
    waited_at.other.close()
    pid = os.fork()
    if not pid:
        with contextlib.suppress(BaseException):
            while True:
                watch.begin(waited_at.here)
                watch.wait(waited_at.here, 0.01)
        os._exit(1)
    waited_at.other = connect(waited_at.file)
    try:
        assert _notices(watch, waited_at, 20)
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)

    assert watch._events is not None


#: Writes more than it keeps in memory, and does not commit.
_DYING = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN IMMEDIATE")
connection.execute("INSERT INTO t VALUES (zeroblob(1000000))")
time.sleep(600)
"""


@on_linux
@pytest.mark.usefixtures("patient")
def test_a_writer_that_was_killed_half_way_holds_up_nobody(waited_at: WaitedAt) -> None:
    watch = waited_at.proven()
    before = waited_at.log.stat().st_size
    dying = subprocess.Popen([sys.executable, "-c", _DYING, str(waited_at.file)])
    wait_until(lambda: waited_at.log.stat().st_size > before, what="rows that are written")

    watch.begin(waited_at.here)
    assert not watch.wait(waited_at.here, 0.1)
    dying.kill()
    dying.wait()

    assert _notices(watch, waited_at, 2)


@on_linux
def test_a_broker_that_was_closed_leaves_no_descriptor(database: str, q_cluster: Any) -> None:
    q_cluster(orm=database)
    broker = ORM("nobody's")
    broker.close()
    before = set(os.listdir("/proc/self/fd"))

    broker.lease(1, 0.01)
    assert len(os.listdir("/proc/self/fd")) > len(before)
    broker.close()

    assert set(os.listdir("/proc/self/fd")) == before
