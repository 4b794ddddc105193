"""Outcomes on their way from a worker's main thread to the books, settled in batches.

The main thread adds; the clerk settles.
"""

import collections
import contextlib
import time
from typing import NamedTuple, Protocol

from django_q.cluster.backoff import Backoff
from django_q.cluster.journal import Journal
from django_q.cluster.settlement import Settlement
from django_q.cluster.tracker import Tracker
from django_q.conf import logger
from django_q.exceptions import BrokerError, BrokerUnavailable, ResultsUnavailable
from django_q.recorder import Record
from django_q.results.rejected import Rejection

#: An outcome is settled after this time at the latest, while settling is quick.
_OLDEST = 0.05
#: The same where each acknowledgement is paid for.
_OLDEST_IF_METERED = 0.5
#: Where a task computes, each step of the clerk waits some 5 ms for the interpreter, and takes it
#: from the task; a server may be slow. Then settling has to leave so many times what it took...
_REST = 10
#: ...but outcomes wait no longer than this.
_OLDEST_IF_SLOW = 0.2
#: Outcomes that make a full batch: what a busy worker has after `_OLDEST`. In SQLite a row costs a
#: quarter less than in batches of 100, since fewer commits write the same pages (measured).
_FULL = 400
#: The same where each acknowledgement is paid for: as many as Amazon SQS takes in a call. A larger
#: batch would have more time to fill, and be repeated when the machine dies.
_FULL_IF_METERED = 10


class Waiter(Protocol):
    """Who waits until an outcome is settled: a threading.Event, or the like."""

    def set(self) -> None:
        """Hear that it is. Called by the clerk."""


class Finished(NamedTuple):
    """What the main thread hands over: an outcome, or a package that it could not open."""

    what: Record | Rejection
    receipt: str | None
    #: Where in the slot's journal it stands; None when it is not there.
    place: int | None = None
    #: Set once it is settled, for a main thread that waits.
    settled: Waiter | None = None


class Outbox:
    """Keeps outcomes until they are settled; nothing is dropped while the servers are away."""

    def __init__(
        self,
        settlement: Settlement,
        journal: Journal,
        tracker: Tracker,
        *,
        is_metered: bool = False,
    ) -> None:
        self._settlement = settlement
        self._tracker = tracker
        self._journal = journal
        self._entries: collections.deque[Finished] = collections.deque()
        self._oldest = 0.0
        self._oldest_if_quick = _OLDEST_IF_METERED if is_metered else _OLDEST
        self._patience = self._oldest_if_quick
        self._batch = _FULL_IF_METERED if is_metered else _FULL
        self._is_awaited = False
        self._backoff = Backoff()

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, finished: Finished) -> bool:
        """Take an outcome (main thread); True when it should be settled at once."""
        self._entries.append(finished)
        if len(self._entries) == 1:
            self._oldest = time.monotonic()
        if finished.settled is not None:
            self._is_awaited = True
        return self._is_awaited or len(self._entries) >= self._batch

    def is_due(self, now: float) -> bool:
        """Tell whether a batch is full, old, or waited for."""
        return (
            self._is_awaited
            or len(self._entries) >= self._batch
            or now - self._oldest >= self._patience
        )

    def due_in(self, now: float) -> float:
        """Seconds until something has to be done about the outcomes here."""
        return max(self._oldest + self._patience - now, self._backoff.left, 0.0)

    @property
    def is_full(self) -> bool:
        """A whole batch waits already: nothing more should be begun."""
        return len(self._entries) >= _FULL and self._backoff.is_failing

    def settle(self) -> list[str]:
        """Settle a batch; gives the receipts that are done with. Waits out its back-off."""
        if self._backoff.is_waiting:
            return []
        self._is_awaited = False
        batch = [self._entries.popleft() for _ in range(min(len(self._entries), 2 * _FULL))]
        self._oldest = began = time.monotonic()
        done = self._settle_all(batch)
        rest = min(_REST * (time.monotonic() - began), _OLDEST_IF_SLOW)
        self._patience = max(rest, self._oldest_if_quick)
        if len(done) < len(batch):
            settled = {id(finished) for finished in done}
            # In front, in their order: they are the oldest.
            self._entries.extendleft(f for f in reversed(batch) if id(f) not in settled)
        elif self._backoff.succeed():
            logger.info("Results are saved again")
        knows_any = self._tracker.knows_any
        for what, _, place, waiter in done:
            if place is not None:
                self._journal.settle(place)
            if knows_any and isinstance(what, Record):
                self._tracker.settled(what)
            if waiter is not None:
                waiter.set()
        return [finished.receipt for finished in done if finished.receipt is not None]

    def _settle_all(self, batch: list[Finished]) -> list[Finished]:
        """Settle a batch, in one go or else each by itself; gives those that are settled."""
        try:
            self._write(batch)
            return batch
        except (ResultsUnavailable, BrokerUnavailable) as error:
            self._say_failure(error)
            return []
        except Exception as error:  # a broker of one's own raises what its client raises
            self._say_failure(error)
        if len(batch) == 1:
            return []
        # One of them may be to blame: it waits for its cure alone.
        done = []
        for finished in batch:
            with contextlib.suppress(Exception):
                self._write([finished])
                done.append(finished)
        return done

    def _write(self, batch: list[Finished]) -> None:
        records = [finished.what for finished in batch if isinstance(finished.what, Record)]
        if records:
            if self._tracker.knows_any:
                records = list(map(self._tracker.complete, records))
            self._settlement.settle(records)
        for finished in batch:
            if isinstance(finished.what, Rejection):
                self._settlement.reject(finished.what)

    def _say_failure(self, error: Exception) -> None:
        pause = self._backoff.fail()
        is_known = isinstance(error, (ResultsUnavailable, BrokerError))
        text = "Results wait to be saved: %s Next try in %.1f s."
        logger.log(self._backoff.level, text, error, pause, exc_info=not is_known)
