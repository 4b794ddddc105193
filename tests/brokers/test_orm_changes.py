"""Who waits at SQLite learns of commits: from the kernel, or by looking all the time."""

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db.backends.base.base import BaseDatabaseWrapper

from django_q.brokers import orm_changes
from django_q.brokers.file_events import FileEvents
from django_q.brokers.orm_changes import ChangeCounter
from tests.brokers.waited_at import (
    NEVER,
    POLLS,
    WaitedAt,
    both_ways,
    commit,
    connect,
    in_every_mode,
    on_linux,
    soon,
)
from tests.site import databases


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks by himself every second, and nobody falls back to looking all the time."""
    monkeypatch.setattr(orm_changes, "LONGEST", NEVER)
    monkeypatch.setattr(orm_changes, "_SHARED", NEVER)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """As many entries as there were looks at the counter."""
    found: list[None] = []
    look = ChangeCounter._look

    def note(connection: BaseDatabaseWrapper) -> int:
        found.append(None)
        return look(connection)

    monkeypatch.setattr(ChangeCounter, "_look", staticmethod(note))
    return found


# What both ways do.


@both_ways
@in_every_mode
def test_a_commit_of_another_is_noticed(waited_at: WaitedAt, kind: type[ChangeCounter]) -> None:
    watch = kind("queue")

    for _ in range(3):
        watch.begin(waited_at.here)
        with soon(waited_at.commit, 0.05):
            assert watch.wait(waited_at.here, NEVER)
        watch.begin(waited_at.here)
        assert not watch.wait(waited_at.here, 0.05)


@both_ways
def test_a_commit_between_two_waits_is_noticed(
    waited_at: WaitedAt, kind: type[ChangeCounter]
) -> None:
    watch = kind("queue")

    for _ in range(3):
        watch.begin(waited_at.here)
        waited_at.commit()
        assert watch.wait(waited_at.here, NEVER)


@both_ways
def test_ones_own_commits_and_what_is_rolled_back_are_no_news(
    waited_at: WaitedAt, kind: type[ChangeCounter]
) -> None:
    watch = kind("queue")
    watch.begin(waited_at.here)
    with waited_at.here.cursor() as cursor:
        cursor.execute("INSERT INTO t VALUES (1)")
    # So small that rows are written before they are committed.
    waited_at.other.execute("PRAGMA cache_size = 1")
    waited_at.other.execute("BEGIN IMMEDIATE")
    waited_at.other.execute("INSERT INTO t VALUES (zeroblob(100000))")
    waited_at.other.execute("ROLLBACK")

    assert not watch.wait(waited_at.here, 0.1)


@both_ways
@pytest.mark.parametrize("name", [":memory:", "file:seen?mode=memory&cache=shared"])
def test_a_database_in_memory_is_looked_at(kind: type[ChangeCounter], name: str) -> None:
    with databases.guest("in memory", {**databases.sqlite(None), "NAME": name}) as connection:
        watch = kind("queue")
        watch.begin(connection)

        assert not watch.wait(connection, 0.05)
        assert getattr(watch, "_events", None) is None


# What events are for.


@on_linux
def test_who_is_told_of_writes_hardly_looks(waited_at: WaitedAt, looks: list[None]) -> None:
    watch = waited_at.proven()
    looks.clear()

    assert not watch.wait(waited_at.here, 0.5)

    assert len(looks) < 0.5 * POLLS / 3


@on_linux
@pytest.mark.usefixtures("patient")
@in_every_mode
def test_nobody_waits_for_the_look_every_second(waited_at: WaitedAt) -> None:
    # The disk keeps what was written before the commit shows, which takes a while.
    waited_at.other.execute("PRAGMA synchronous = FULL")
    watch, rows = waited_at.proven(), waited_at.rows()
    others = [waited_at.other, connect(waited_at.file)]
    writers = [threading.Thread(target=_commit_now_and_then, args=(other, 60)) for other in others]
    for writer in writers:
        writer.start()

    all_rows = rows + 60 * len(writers)
    while (watch.begin(waited_at.here), rows := waited_at.rows()) and rows < all_rows:
        assert watch.wait(waited_at.here, NEVER), f"{rows} of {all_rows} rows were seen"

    for writer in writers:
        writer.join()
    others[1].close()
    assert watch._events is not None


def _commit_now_and_then(other: Any, count: int) -> None:
    for _ in range(count):
        time.sleep(random.uniform(0.0, 0.02))
        commit(other)


class TooEarly:
    """Events of which the only one comes before its commit."""

    is_over = False

    def __init__(self, events: FileEvents, commit: Callable[[], None], seconds: float) -> None:
        self._events = events
        self._timer = threading.Timer(seconds, commit)

    def wait(self, seconds: float) -> bool:
        """Tell at once of what comes later, and of that nothing any more."""
        if self._timer.ident is None:
            self._timer.start()
            return True
        time.sleep(seconds)
        return False

    def close(self) -> None:
        """End it."""
        self._timer.join()
        self._events.close()


@on_linux
@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("seconds", [0.002, 0.02, 0.3])
def test_a_commit_that_shows_after_its_event_is_noticed_soon(
    waited_at: WaitedAt, seconds: float
) -> None:
    watch: Any = waited_at.proven()
    watch._events = TooEarly(watch._events, waited_at.commit, seconds)

    watch.begin(waited_at.here)
    began = time.monotonic()
    assert watch.wait(waited_at.here, NEVER)

    assert time.monotonic() - began < NEVER / 2
    watch._events.close()


@on_linux
@pytest.mark.usefixtures("patient")
def test_an_event_that_told_of_two_commits_is_followed_by_more_looks(waited_at: WaitedAt) -> None:
    watch = waited_at.proven()
    watch.begin(waited_at.here)
    waited_at.commit()
    assert watch.wait(waited_at.here, NEVER)

    watch.begin(waited_at.here)
    waited_at.commit()
    assert watch._events is not None
    watch._events.wait(0)

    began = time.monotonic()
    assert watch.wait(waited_at.here, NEVER)
    assert time.monotonic() - began < NEVER / 2
    assert watch._events is not None


@on_linux
def test_who_is_told_all_the_time_is_woken_no_oftener_than_without(waited_at: WaitedAt) -> None:
    watch = waited_at.proven()
    is_over = threading.Event()

    def write() -> None:
        while not is_over.wait(0.002):
            waited_at.commit()

    writer = threading.Thread(target=write)
    writer.start()
    end, begun = time.monotonic() + 1.5, 0
    while (left := end - time.monotonic()) > 0:
        watch.begin(waited_at.here)
        watch.wait(waited_at.here, left)
        begun += 1
    is_over.set()
    writer.join()

    assert begun <= 1.5 * POLLS + orm_changes._EVENTS_AT_ONCE
