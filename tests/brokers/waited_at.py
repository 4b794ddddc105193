"""A database of SQLite at which a test waits for commits, and the others who write to it."""

import contextlib
import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from django_q.brokers.file_events import FileEvents
from django_q.brokers.orm_changes import ChangeCounter, ChangeEvents
from tests.site import databases

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
both_ways = pytest.mark.parametrize("kind", [ChangeEvents, ChangeCounter])
#: How SQLite keeps its journal: WAL, unless a test asks for others.
in_every_mode = pytest.mark.parametrize(
    "waited_at", ["WAL", "DELETE", "TRUNCATE", "PERSIST"], indirect=True
)
in_mode_delete = pytest.mark.parametrize("waited_at", ["DELETE"], indirect=True)
#: Seconds after which nobody looks by himself, in some tests: who waits for that has failed.
NEVER = 60.0
#: Looks that a `ChangeCounter` makes in a second.
POLLS = 50


class WaitedAt:
    """A file with a table, Django's connection to it (`here`), and that of somebody else."""

    def __init__(self, file: Path, here: Any) -> None:
        self.file = file
        self.log = Path(f"{file}-wal")
        self.here = here
        self.other = connect(file)

    def commit(self) -> None:
        """Let somebody else write."""
        commit(self.other)

    def rows(self) -> int:
        """Count what Django sees."""
        with self.here.cursor() as cursor:
            return int(cursor.execute("SELECT count(*) FROM t").fetchone()[0])

    def proven(self) -> ChangeEvents:
        """Make a watch that has seen a commit come with an event, and nothing since."""
        watch = ChangeEvents("queue")
        watch.begin(self.here)
        self.commit()
        assert watch.wait(self.here, NEVER)
        assert watch._is_proven
        watch.begin(self.here)
        assert not watch.wait(self.here, 0.2)
        return watch

    def deaf(self) -> FileEvents:
        """Make events of another file: of commits none comes, as where another kernel writes."""
        elsewhere = self.file.with_name("elsewhere")
        elsewhere.touch()
        return FileEvents(os.fsencode(elsewhere))


def connect(file: Path) -> sqlite3.Connection:
    """Connect somebody who is not Django, and whom any thread may use."""
    return sqlite3.connect(file, timeout=20, isolation_level=None, check_same_thread=False)


def commit(connection: sqlite3.Connection) -> None:
    """Write a row."""
    connection.execute("INSERT INTO t VALUES (zeroblob(100))")


@contextlib.contextmanager
def open_database(file: Path, mode: str) -> Iterator[WaitedAt]:
    """Make such a database, and the connections to it."""
    with contextlib.closing(connect(file)) as maker:
        maker.execute(f"PRAGMA journal_mode = {mode}")
        maker.execute("CREATE TABLE t (x)")
    entry = {**databases.sqlite(None), "NAME": str(file), "OPTIONS": {"timeout": 20}}
    with databases.guest("waited at", entry) as here:
        made = WaitedAt(file, here)
        yield made
        made.other.close()


@contextlib.contextmanager
def soon(action: Callable[[], Any], seconds: float = 0.3) -> Iterator[None]:
    """Do something in a while, beside the test."""
    timer = threading.Timer(seconds, action)
    timer.start()
    yield
    timer.join()
