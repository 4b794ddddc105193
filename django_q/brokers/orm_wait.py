"""How the ORM broker notices that there may be something to lease, in the way of each database.

A watch is begun before the look at the queue and waits after it, so that what comes in between is
not missed. It is a hint only: who was woken looks for himself, and looks once a second anyhow;
less often where it was seen that hints come.
"""

import hashlib
import time
import weakref
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from django_q.brokers.orm_changes import ChangeEvents
from django_q.brokers.orm_poll import Poll
from django_q.brokers.orm_trouble import is_readable

#: Seconds for which PostgreSQL's hints are not relied on after one did not come.
_DOUBT = 3600.0


def channel(queue: str) -> str:
    """Give the name of PostgreSQL's channel for a queue: any queue name, in 63 bytes."""
    return "django_q_" + hashlib.sha256(queue.encode()).hexdigest()[:32]


class Notifications(Poll):
    """Listens on the queue's channel, on this thread's connection (PostgreSQL)."""

    def __init__(self, queue: str) -> None:
        super().__init__(queue)
        self._channel = channel(queue)
        self._listening: weakref.ref[Any] | None = None
        #: What was told since the last look: ids, or "" for rows of which it is not said which. No
        #: more than two: a worker that is busy for long hears of all, and looks at none.
        self._told: list[str] = []
        #: Something was told while it waited, on this connection; not relied on until then.
        self._has_heard = False
        self._doubt_until = 0.0

    def is_sure(self, connection: BaseDatabaseWrapper) -> bool:
        """Tell whether surely nothing came since it waited last.

        That is so once the server has told something while nothing was asked, which no pgbouncer
        hands on that shares sessions; and until something comes that was not told.
        """
        raw = connection.connection
        if not self._has_heard or raw is None or self._is_new(raw):
            return False
        has_news = self._told or not hasattr(raw, "pgconn") and raw.notifies
        return not has_news and time.monotonic() >= self._doubt_until

    def doubt(self) -> None:
        """Be sure of nothing for a time: something came that was not told, of an old producer."""
        if not self._told:
            self._doubt_until = time.monotonic() + _DOUBT

    def begin(self, connection: BaseDatabaseWrapper) -> None:
        """Listen, if this connection does not yet; forget what was heard so far."""
        connection.ensure_connection()
        raw = connection.connection
        if self._is_new(raw):
            with connection.cursor() as cursor:
                cursor.execute(f'LISTEN "{self._channel}"')
            if hasattr(raw, "pgconn"):
                # psycopg 3 gives what comes with the answer to a statement to handlers only.
                raw.add_notify_handler(self._hear)
            self._listening = weakref.ref(raw)
            self._has_heard = False
        self._told.clear()
        if not hasattr(raw, "pgconn"):
            raw.notifies.clear()

    def wait(self, connection: BaseDatabaseWrapper, seconds: float) -> bool:
        """Wait until a notification comes, at most so long; True if something came."""
        raw = connection.connection
        with connection.wrap_database_errors:
            self._take_in(raw)
            if not self._told and is_readable(raw, seconds):
                self._read(raw)
                self._has_heard = self._has_heard or bool(self._told)
        told, self._told = self._told, []
        self.news = told[0] if len(told) == 1 else ""
        return bool(told)

    def _is_new(self, raw: Any) -> bool:
        return self._listening is None or self._listening() is not raw

    def _hear(self, notification: Any) -> None:
        self._note(notification.payload)

    def _note(self, words: str) -> None:
        if len(self._told) < 2:
            self._told.append(words)

    def _read(self, raw: Any) -> None:
        """Take in what came. Raises the driver's error when it is the end of the connection."""
        if hasattr(raw, "pgconn"):
            raw.pgconn.consume_input()
        self._take_in(raw)

    def _take_in(self, raw: Any) -> None:
        """Note the notifications that are there, read along with something else."""
        if hasattr(raw, "pgconn"):
            while (notification := raw.pgconn.notifies()) is not None:
                self._note(notification.extra.decode())
        else:  # psycopg2
            raw.poll()
            for notification in raw.notifies:
                self._note(notification.payload)
            raw.notifies.clear()


_WATCHES = {"sqlite": ChangeEvents, "postgresql": Notifications}


def watch_for(connection: BaseDatabaseWrapper) -> type[Poll]:
    """Give the kind of watch for this connection.

    In a transaction that is `Poll`: SQLite shows there what was when it began, PostgreSQL tells
    nothing until its end.
    """
    return Poll if connection.in_atomic_block else _WATCHES.get(connection.vendor, Poll)
