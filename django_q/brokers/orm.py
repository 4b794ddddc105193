"""The ORM broker: packages as rows of a table, on SQLite, PostgreSQL, MariaDB and MySQL.

`orm_rows` does the work, with the statements of `orm_sql`; `orm_wait` knows how a consumer is
woken, `orm_trouble` what to make of errors.
"""

import functools
import math
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet
from django.utils import timezone

from django_q.brokers import orm_trouble
from django_q.brokers.base import Broker
from django_q.brokers.lease import Lease
from django_q.brokers.orm_poll import LONGEST, Poll
from django_q.brokers.orm_progress import Progress
from django_q.brokers.orm_rows import Rows
from django_q.brokers.orm_wait import watch_for
from django_q.conf import Conf
from django_q.exceptions import ConfigurationError
from django_q.models import OrmQ

_Given = TypeVar("_Given")

#: Seconds until the next look when packages are ready, but others are just leasing them.
_SHORTEST_WAIT = 0.005
#: Seconds until the next look at who is due where everything new is told. A lease that is not known
#: of began after the last look, so it does not lapse before the next one if `retry` is longer.
_LONGEST_TRUST = 5.0
#: Seconds by which a row may be ready sooner than was expected, for want of precision.
_EARLY = 0.05
#: Seconds a ping waits; the contract gives it two.
_PING_LIMIT = 1.8
#: The largest row id there can be.
_LARGEST_ID = 2**63 - 1


class ORM(Broker):
    """Keeps packages in the table of `OrmQ`, in the database that `Q_CLUSTER["orm"]` names.

    Uses Django's connection of the thread, and leaves it open. `enqueue` within a transaction takes
    part in it: the package can be leased once that is committed. So does `acknowledge_many`, so
    that results on the same alias and their acknowledgement are one transaction.

    Another producer may write rows itself: key, payload and lock. A row without lock is on hold.
    """

    has_receipts = can_renew = can_release = can_delay = can_delete = portable_receipts = True
    can_prioritise = has_transactions = True

    def __init__(self, list_key: str | None = None) -> None:
        super().__init__(list_key)
        #: The database the packages are in.
        self.alias: str = Conf.ORM or DEFAULT_DB_ALIAS
        if self.alias not in connections.databases:
            raise ConfigurationError(
                f'Q_CLUSTER["orm"] is {self.alias!r:.100}, which is no database of this project: '
                f"the aliases in DATABASES are {', '.join(sorted(connections.databases))}."
            )
        self._watch: Poll | None = None
        #: Nothing came while it waited last, as far as the database tells.
        self._is_quiet = False
        #: When the next row is due, as it was read last, and when that is to be read again
        #: (monotonic).
        self._due_at, self._read_again = math.inf, 0.0
        self._progress = Progress()

    # -- connections -----------------------------------------------------------------------

    @staticmethod
    def get_connection(list_key: str | None = None) -> "QuerySet[OrmQ]":
        """Give the rows of all queues; a connection that is too old or broken is closed first."""
        alias = Conf.ORM or DEFAULT_DB_ALIAS
        if not connections[alias].in_atomic_block:
            connections[alias].close_if_unusable_or_obsolete()
        return OrmQ.objects.using(alias)

    def close(self) -> None:
        """Close this thread's connection, unless it is in a transaction."""
        super().close()
        self._watch = None
        if not connections[self.alias].in_atomic_block:
            connections[self.alias].close()

    def _run(self, action: Callable[[Rows], _Given], *, repeatable: bool = True) -> _Given:
        return orm_trouble.run(
            self.alias, lambda c: action(Rows(c, self.list_key)), repeatable=repeatable
        )

    # -- keep and lend ---------------------------------------------------------------------

    def enqueue_many(
        self, tasks: Iterable[str], *, delay: float = 0.0, priority: int = 0
    ) -> list[str]:
        """Keep the packages, all of them or none, in their order."""
        payloads = list(tasks)
        # Not repeatable: a connection may die after the commit, before it says so.
        ids = self._run(lambda rows: rows.insert(payloads, delay, priority), repeatable=False)
        return [str(id) for id in ids]

    def lease(self, limit: int = 1, wait: float = 0.0) -> list[Lease]:
        """Lend packages, by priority, oldest first; at most a thousand at a time (MySQL: 300)."""
        end = time.monotonic() + wait
        while True:
            left = end - time.monotonic()
            leases = orm_trouble.run(
                self.alias, functools.partial(self._look, limit=limit, wait=left)
            )
            if leases or left <= 0 or (self._is_quiet and time.monotonic() >= end):
                return leases

    def _look(self, connection: BaseDatabaseWrapper, *, limit: int, wait: float) -> list[Lease]:
        """Claim; when there is nothing, wait until there may be something."""
        rows = Rows(connection, self.list_key)
        if wait <= 0:
            return self._claim(rows, limit)
        kind = watch_for(connection)
        if type(self._watch) is not kind:
            self._watch = kind(self.list_key)
        is_sure = self._watch.is_sure(connection)
        self._watch.begin(connection)
        # Where nothing is to be expected, to read when the next is due is enough.
        due = self._expected(rows, is_sure) if self._is_quiet else 0.0
        if due <= 0:
            self._is_quiet = False
            leases = self._claim(rows, limit)
            if leases:
                self._watch.reset()
                return leases
            due = self._read_due(rows)
        until_due = max(due, _SHORTEST_WAIT)
        pause = min(wait, until_due, LONGEST)
        leases = self._wait(connection, rows, pause)
        self._is_quiet = self._is_quiet and pause < until_due
        return leases

    def _expected(self, rows: Rows, is_sure: bool) -> float:
        """Give the seconds until a row is ready; as it was read lately, if that surely holds."""
        assert self._watch is not None
        now, expected = time.monotonic(), self._due_at
        if is_sure and now < self._read_again:
            return expected - now
        due = self._read_due(rows)
        if due <= 0 and now < expected - _EARLY:
            self._watch.doubt()
        return due

    def _read_due(self, rows: Rows) -> float:
        """Read how many seconds it is until a row is ready, for ever without any; and note it."""
        now, due = time.monotonic(), rows.due()
        due = math.inf if due is None else due
        self._due_at, self._read_again = now + due, now + min(_LONGEST_TRUST, Conf.RETRY)
        return due

    def _wait(self, connection: BaseDatabaseWrapper, rows: Rows, seconds: float) -> list[Lease]:
        """Wait until there may be something; where it is told which row that is, claim it.

        There was nothing before it, so it may pass by the priorities; and when somebody else was
        quicker, there is nothing still.
        """
        assert self._watch is not None
        self._is_quiet = False
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            has_heard = self._watch.wait(connection, left)
            if (id := _row_id(self._watch.news)) is None:
                self._is_quiet = not has_heard
                break
            if leases := self._lend(functools.partial(rows.claim_told, id)):
                return leases
        return []

    def _claim(self, rows: Rows, limit: int) -> list[Lease]:
        return self._lend(lambda token: rows.claim(limit, token, self._progress))

    def _lend(self, claim: Callable[[str], list[tuple[int, str, int]]]) -> list[Lease]:
        # One token for the leases of one call, and never again, whatever forks.
        token = f"{self.holder}.{secrets.token_hex(8)}"
        return [
            Lease(f"{id}:{token}", payload, str(id), count) for id, payload, count in claim(token)
        ]

    def timeout(self, task: Any) -> datetime:
        """Give the end of a lease that begins now, for a subclass that writes its own `dequeue`."""
        return timezone.now() + timedelta(seconds=Conf.RETRY)

    # -- take back -------------------------------------------------------------------------

    def acknowledge_many(self, receipts: Sequence[str]) -> None:
        """Delete the rows that these receipts still hold."""
        self._run(lambda rows: rows.acknowledge(_held(receipts)))

    def acknowledge_held(self, receipt: str) -> bool:
        """Delete the row that this receipt holds; False where it holds none any more."""
        return self._run(lambda rows: rows.acknowledge(_held([receipt]))) > 0

    def is_there(self, receipt: str) -> bool:
        """Tell whether the row is there, waiting or leased to whomever."""
        (id,) = _held([receipt]).values() or (None,)
        return id is not None and self._run(lambda rows: rows.has(id))

    def renew(self, receipts: Sequence[str]) -> list[str]:
        """Prolong what these receipts hold, be it lapsed, until somebody else leases it."""
        valid = self._run(lambda rows: rows.renew(_held(receipts)))
        return [receipt for receipt in receipts if _normal(receipt) in valid]

    def release(
        self, receipts: Sequence[str], delay: float = 0.0, *, counted: bool = False
    ) -> None:
        """Give back what these receipts still hold."""
        self._progress.forget()
        self._run(lambda rows: rows.release(_held(receipts), delay, uncount=not counted))

    def release_holder(self, holder: str) -> int:
        """Give back all leases whose token begins with this holder."""
        self._progress.forget()
        return self._run(lambda rows: rows.release(rows.held_by(holder), 0.0, uncount=True))

    def delete(self, task_id: str) -> bool:
        """Delete the row with this id, be it leased."""
        id = _row_id(str(task_id))
        return id is not None and self._run(lambda rows: rows.delete(id)) > 0

    def purge_queue(self) -> None:
        """Delete all rows of this queue."""
        self._run(lambda rows: rows.purge())

    # -- tell ------------------------------------------------------------------------------

    def queue_size(self) -> int:
        """Count the rows that may be leased now; beyond 20,000 an `Estimate`, from a sample."""
        return self._run(lambda rows: rows.count_waiting())

    def lock_size(self) -> int:
        """Count the rows that are leased."""
        return self._run(lambda rows: rows.count_leased())

    def ping(self) -> bool:
        """Ask the server on a connection of its own, since this thread's might hang."""
        return orm_trouble.answers(self.alias, _PING_LIMIT)

    def info(self) -> str:
        """Name alias, database and version."""
        if not self._info:
            name, version = orm_trouble.run(self.alias, _name_and_version)
            self._info = f"ORM {self.alias} ({name} {version})"
        return self._info

    def set_stat(self, key: str, value: str, timeout: int) -> None:
        """Keep a heartbeat in the table of `Heartbeat`."""
        self._run(lambda rows: rows.beat(key, value, timeout))

    def get_stat(self, key: str) -> str | None:
        """Give the heartbeat under `key`, or None."""
        return self._run(lambda rows: rows.stat(key))

    def get_stats(self, pattern: str) -> list[str]:
        """Give all live heartbeats whose keys begin as the pattern does."""
        return self._run(lambda rows: rows.stats(pattern.rstrip("*")))


def _normal(receipt: Any) -> str:
    """Give a receipt its full form: a subclass that writes its own `dequeue` may give row ids."""
    text = str(receipt)
    return text if ":" in text else f"{text}:"


def _held(receipts: Sequence[str]) -> Mapping[str, int]:
    """Give receipt -> row id, in full form and once each, without what no broker of ours gave."""
    pairs = ((receipt, _row_id(receipt.partition(":")[0])) for receipt in map(_normal, receipts))
    return {receipt: id for receipt, id in pairs if id is not None}


def _row_id(text: str) -> int | None:
    id = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else -1
    return id if 0 <= id <= _LARGEST_ID else None


def _name_and_version(connection: BaseDatabaseWrapper) -> tuple[str, str]:
    version = ".".join(map(str, connection.get_database_version()))
    return str(connection.display_name), version
