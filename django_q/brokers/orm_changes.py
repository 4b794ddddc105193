"""How the ORM broker notices that another connection has committed something to SQLite."""

import contextlib
import math
import os
import time
from typing import NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

from django_q.brokers.file_events import FileEvents
from django_q.brokers.orm_poll import GROWTH, LONGEST, Poll
from django_q.conf import logger

#: Seconds between two looks without events: right after something came, and when idle.
_SHORT, _LONG = 0.005, 0.02
#: Seconds until the look after one that came too early: something was written, not yet committed.
_RETRY = 0.001
#: Where somebody writes all the time: seconds between two events that are followed, as far apart as
#: the looks of a `ChangeCounter` are with what comes of them; and how many may be followed at once.
_EVENT_PAUSE, _EVENTS_AT_ONCE = 0.025, 20
#: Seconds after an event in which it may tell of one more commit, not seen with the first: as long
#: as a slow disk takes to keep it, or a busy machine to look again.
_SHARED = 0.25


class ChangeCounter(Poll):
    """Looks at `PRAGMA data_version`, which changes when another connection commits (SQLite).

    It costs some microseconds, and no writer has to wait for it.
    """

    def __init__(self, queue: str) -> None:
        super().__init__(queue)
        self._version: int | None = None

    def begin(self, connection: BaseDatabaseWrapper) -> None:
        """Note the counter."""
        self._version = self._look(connection)

    def wait(self, connection: BaseDatabaseWrapper, seconds: float) -> bool:
        """Look again and again until the counter has changed, at most so long; True if it has."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._pause = min(max(self._pause * GROWTH, _SHORT), _LONG)
            time.sleep(min(self._pause, left))
            if self._look(connection) != self._version:
                return True
        return False

    @staticmethod
    def _look(connection: BaseDatabaseWrapper) -> int:
        connection.ensure_connection()
        # Past Django's cursor, which costs more than the rest and logs every query for debugging.
        with connection.wrap_database_errors:
            (version,) = connection.connection.execute("PRAGMA data_version").fetchone()
        return int(version)


class _File(NamedTuple):
    """A file, and which one that is if others had this path."""

    path: bytes
    device: int
    inode: int


class ChangeEvents(ChangeCounter):
    """Looks at the counter when the kernel tells that the database was written to (Linux).

    An event is a hint: who writes commits afterwards, and tells that in memory that gives no event.
    So a look that came too early is followed by others, ever later. A commit that was seen is
    followed by some as well, since an event may tell of two.

    Whether events come for all that is written is not known: others may write by a file system of
    which this kernel sees nothing. Until the first commit came with an event it looks as often as a
    `ChangeCounter`; and after one that came without it is nothing else any more.
    """

    def __init__(self, queue: str) -> None:
        super().__init__(queue)
        self._events: FileEvents | None = None
        #: The database's file, empty for one in memory; None until it is asked for.
        self._database: bytes | None = None
        #: Which process watches which file.
        self._watched: tuple[int, _File | None] | None = None
        self._is_proven = False
        #: When the last event and the last commit of another were seen, or the watch was begun; and
        #: when the next event is followed at the earliest (monotonic).
        self._written = self._changed = self._next_event = -math.inf

    def begin(self, connection: BaseDatabaseWrapper) -> None:
        """Note the counter; watch the file that commits write to, if it is another than before."""
        # The first look of a connection makes the write-ahead log, if there is none.
        super().begin(connection)
        if self._database is None:
            self._database = _path(connection)
        file = _written(self._database)
        # A fork has the parent's watch too, and would take its events away.
        watched = os.getpid(), file
        if watched != self._watched or (self._events is not None and self._events.is_over):
            self._watched = watched
            self._watch(file)
            # What was committed before there was a watch came without an event.
            super().begin(connection)

    def wait(self, connection: BaseDatabaseWrapper, seconds: float) -> bool:
        """Wait until the counter has changed, at most so long; True if it has."""
        if self._events is None:
            return super().wait(connection, seconds)
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if (early := self._next_event - time.monotonic()) > 0:
                time.sleep(min(early, left))
            if self._events.wait(min(self._pause, left)):
                self._follow_event()
            else:
                longest = LONGEST if self._is_proven else _LONG
                self._pause = min(max(self._pause * GROWTH, _RETRY), longest)
            if self._look(connection) != self._version:
                self._judge(self._events)
                return True
            if self._events.is_over:
                return True
        return False

    def reset(self) -> None:
        """Begin with short pauses again: something came."""
        super().reset()
        self._next_event = -math.inf

    def _watch(self, file: _File | None) -> None:
        self._end_watch()
        self.reset()
        self._is_proven = False
        self._written = self._changed = time.monotonic()
        if file is not None:
            try:
                self._events = FileEvents(file.path)
            except OSError as error:
                logger.debug("SQLite's file cannot be watched, so it is polled: %s", error)

    def _end_watch(self) -> None:
        if self._events is not None:
            self._events.close()
            self._events = None

    def _follow_event(self) -> None:
        """Look now, and soon again if that is too early."""
        now = time.monotonic()
        self._written, self._pause = now, _RETRY
        earliest = now - _EVENTS_AT_ONCE * _EVENT_PAUSE
        self._next_event = max(self._next_event, earliest) + _EVENT_PAUSE

    def _judge(self, events: FileEvents) -> None:
        """Learn from a commit of another whether events can be relied on."""
        now = time.monotonic()
        # It may have been written after the last wait, and before the look.
        if self._written > self._changed or events.wait(0.0):
            self._is_proven = True
        elif now - self._written > _SHARED:
            logger.debug("A commit to SQLite came without an event, so its file is polled")
            self._end_watch()
        self._changed, self._pause = now, _LONG


def _path(connection: BaseDatabaseWrapper) -> bytes:
    # As bytes: a path need not be UTF-8.
    text = "SELECT CAST(file AS BLOB) FROM pragma_database_list WHERE name = 'main'"
    with connection.wrap_database_errors:
        (path,) = connection.connection.execute(text).fetchone()
    return bytes(path)


def _written(database: bytes) -> _File | None:
    """Give the file that commits write to: the write-ahead log, while there is one."""
    for path in (database + b"-wal", database) if database else ():
        with contextlib.suppress(OSError):
            found = os.stat(path)
            return _File(path, found.st_dev, found.st_ino)
    return None
