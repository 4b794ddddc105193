"""What a worker's tasks are followed by: their rows while they run, and the wishes to cancel them.

The threads that run tasks say when one begins and ends; all else is the clerk's, each round. A task
that ends within a second is not written down at all.
"""

import functools
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from queue import SimpleQueue
from typing import Any

from django.utils import timezone

from django_q.brokers import Lease
from django_q.cluster.backoff import Backoff
from django_q.conf import Conf, logger
from django_q.exceptions import ResultsUnavailable
from django_q.package import TaskPackage
from django_q.recorder import Record
from django_q.results import cancellations, tracking
from django_q.results.base import worker_name
from django_q.results.entries import Entry
from django_q.results.tracking import Running
from django_q.results.trouble import is_refusal
from django_q.run import Progress, Run

#: A task is written down when it has run for so long: most are over by then.
_LATE = 1.0
#: One that is followed from the start, sooner, so that its row tells the truth within a second.
_SOON = 0.5
#: Time between two writings of one task's progress.
_PERIOD = 1.0
_NONE: Mapping[str, bool] = {}


class Tracker:
    """Follows what one worker runs."""

    def __init__(self, queue: str) -> None:
        #: Tasks that somebody wants cancelled: id -> at any price. Replaced as a whole.
        self.wishes: Mapping[str, bool] = _NONE
        #: Ends the call of a task by an exception, from the clerk's thread; the worker's to set.
        self.interrupt: Callable[[str], Any] = _nothing
        self._queue = queue
        self._runs: dict[str, Run] = {}
        #: Runs that stand in the table: what was written of them, and when.
        self._written: dict[str, tuple[Progress | None, float]] = {}
        #: What the scoreboard said when they were read; at first they are read whatever it says,
        #: since the housekeeper of a cluster that starts may not have looked yet.
        self._number = -1
        #: Runs that did not count, for the clerk: id, and whether the next one knows that the task
        #: was delivered before; None where it has begun already.
        self._voided: SimpleQueue[tuple[str, bool | None]] = SimpleQueue()
        self._next_sight = 0.0
        self._backoff = Backoff()

    # -- called by the threads that run tasks -------------------------------------------------

    def begin(self, package: TaskPackage) -> Run:
        """Follow a task that is about to run."""
        run = Run(package)
        self._runs[run.id] = run
        return run

    def end(self, run: Run) -> None:
        """Follow it no more. Before its outcome is handed over: the row that was written goes."""
        self._runs.pop(run.id, None)

    def void(self, run: Run, lease: Lease) -> None:
        """Follow a run no more that did not count; its task waits again."""
        self.end(run)
        is_known = lease.is_counted or lease.deliveries != 1
        # Without a pause it was lost: another run has its place, and writes its row.
        self._voided.put((run.id, is_known if lease.pause else None))

    # -- called by the clerk ------------------------------------------------------------------

    def look(self, now: float, number: int) -> None:
        """Do what is due: obey wishes, and write down what runs."""
        self.hear(number)
        if self.wishes:
            self._interrupt_cancelled()
        if not self._voided.empty():
            self._forget_voided()
        if self._runs and not self._backoff.is_waiting:
            self._patiently(lambda: self._write_due(now))

    def hear(self, number: int) -> None:
        """Learn of the wishes, where they are others by the number on the scoreboard."""
        if number != self._number and not self._backoff.is_waiting:
            self._patiently(lambda: self._hear(number))

    @property
    def knows_any(self) -> bool:
        """Something is known of a task: else outcomes are `complete`, and nothing is forgotten."""
        return bool(self._written or self.wishes)

    def complete(self, record: Record) -> Record:
        """Add to the record of an outcome what has to go with it. Idempotent."""
        task_id = self._known(record)
        if not task_id or not record.acknowledge:
            return record
        entries = list(record.entries)
        again = next((one for one in record.followers if one.task_id == task_id), None)
        if again is None and task_id in self.wishes:
            entries.append(Entry("uncancel", (task_id,)))
        if not any(kind in ("untrack", "reschedule") for kind, _ in entries):
            # Only this clerk knows that it has a row. The next run writes which one it is.
            wait = Entry("reschedule", (task_id, again.delay, None)) if again else None
            entries.append(wait or Entry("untrack", (task_id,)))
        return record._replace(entries=tuple(entries))

    def settled(self, record: Record) -> None:
        """Forget a task whose outcome is in the books."""
        task_id = self._known(record)
        if task_id and task_id not in self._runs:
            self._written.pop(task_id, None)
            if record.row is not None:
                self.wishes = {id: kill for id, kill in self.wishes.items() if id != task_id}

    def _known(self, record: Record) -> str:
        """Give the id of a record's task where something is known of it; else an empty text."""
        if not self.knows_any:
            return ""
        # A run that is followed by another one has no row.
        ids = [one.task_id for one in record.followers] if record.row is None else [record.row.id]
        return next((id for id in ids if id in self._written or id in self.wishes), "")

    def _forget_voided(self) -> None:
        """Say of what was written of runs that did not count that it waits again."""
        while not self._voided.empty():
            task_id, is_known = self._voided.get()
            if self._written.pop(task_id, None) and is_known is not None:
                requeue = functools.partial(tracking.requeue, task_id, is_known=is_known)
                # If it fails, the housekeeper puts it right once it is silent for long.
                self._patiently(requeue)

    # -- parts --------------------------------------------------------------------------------

    def _patiently(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # a value that the driver refuses must not end the worker
            pause = self._backoff.fail()
            text = "Tasks under way are not followed: %s Next try in %.1f s."
            is_known = isinstance(error, ResultsUnavailable)
            logger.log(self._backoff.level, text, error, pause, exc_info=not is_known)
        else:
            self._backoff.succeed()

    def _hear(self, number: int) -> None:
        is_first = self._number < 0
        self.wishes = cancellations.wishes() if number or is_first else _NONE
        self._number = number

    def _interrupt_cancelled(self) -> None:
        for run in list(self._runs.values()):
            if run.id in self.wishes and not run.is_cancelled:
                run.is_cancelled = True
                logger.info("Task %s [%s] is cancelled", run.package["name"], run.id)
                self.interrupt(run.id)

    def _write_due(self, now: float) -> None:
        is_all = now >= self._next_sight
        if is_all:
            # What runs is said again now and then: else it would be taken for lost.
            self._next_sight = now + Conf.RETRY / 3
        runs = list(self._runs.values())
        due = [run for run in runs if self._is_due(run, now, with_written=is_all)]
        if due:
            # Read once: the task may say more meanwhile.
            said = {run.id: run.progress for run in due}
            self._write([self._running(run, said[run.id], now) for run in due])
            self._written |= {task_id: (progress, now) for task_id, progress in said.items()}

    def _write(self, rows: list[Running]) -> None:
        """Write rows together, or else each alone, so that one which is refused holds up no other.

        That one is tried again when its task says more.
        """
        try:
            tracking.write(rows)
        except Exception as error:
            unwrapped = error.__cause__ if isinstance(error, ResultsUnavailable) else error
            if unwrapped is None or not is_refusal(unwrapped):
                raise
            if len(rows) == 1:
                is_news = rows[0].id not in self._written
                level = logging.ERROR if is_news else logging.DEBUG
                text = "The task %s [%s] is not followed: %s"
                logger.log(level, text, rows[0].name, rows[0].id, error)
                return
            for row in rows:
                self._write([row])

    def _is_due(self, run: Run, now: float, *, with_written: bool) -> bool:
        if run.id not in self._written:
            return now - run.began >= (_SOON if run.package.get("tracked") else _LATE)
        progress, written = self._written[run.id]
        return with_written or (run.progress is not progress and now - written >= _PERIOD)

    def _running(self, run: Run, progress: Progress | None, now: float) -> Running:
        package = run.package
        group = package.get("group")
        return Running(
            id=run.id,
            name=package["name"][:100],
            func=run.func,
            # Of another type it may have code of its own, which does not run in this thread.
            group=str(group)[:100] if type(group) in (str, int) else None,
            queue=package.get("cluster") or self._queue,
            attempt=package.get("attempt", 1),
            enqueued=package["started"],
            started=timezone.now() - timedelta(seconds=now - run.began),
            worker=worker_name(),
            is_tracked=bool(package.get("tracked")),
            progress=progress,
        )


def _nothing(task_id: str) -> None:
    """Stand in for a way to interrupt that no worker has set."""
