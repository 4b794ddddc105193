"""A worker that has several tasks side by side: functions in threads, coroutines on a loop.

Its main thread stays what it is in any worker: the only one that takes from the inbox, opens
packages, and writes the journal. It hands a task to its runner and takes the next package while
there is a place; what is to follow it is told by its agenda. A place's mark is written by whoever
has the task: the runner, between two turns of the main thread.
"""

import functools
import queue
import time
from collections.abc import Callable
from typing import Any

from django_q.brokers import Lease
from django_q.brokers.orm_trouble import close_hung_up
from django_q.cluster.clerk import Clerk
from django_q.cluster.connections import leave_connections
from django_q.cluster.outbox import Finished
from django_q.cluster.room import count_places
from django_q.cluster.runners import Agenda, Deed, Ending, Loop, Threads
from django_q.cluster.scoreboard import Phase, Slot, State
from django_q.cluster.thread_limits import ThreadLimits
from django_q.cluster.worker import Worker
from django_q.conf import Conf
from django_q.coroutines import announce_start, coroutine_function, see_to_failure
from django_q.exceptions import ResultsUnavailable
from django_q.package import Outcome, TaskPackage
from django_q.recorder import Record, Stores, announce
from django_q.results.ledger import History
from django_q.run import Run

#: Longest time the limit of a task in a thread goes unnoticed that has begun meanwhile.
_LOOK = 0.1


class Inbox(queue.SimpleQueue[Lease | None]):
    """An inbox that tells the agenda when something came."""

    def __init__(self, agenda: Agenda) -> None:
        super().__init__()
        self._agenda = agenda

    def put(self, item: Lease | None, block: bool = True, timeout: float | None = None) -> None:
        """Put in a lease, or the word to leave. Safe in a signal handler."""
        super().put(item)
        self._agenda.put(None)


class ConcurrentWorker(Worker):
    """Runs up to `threads` functions and `async_concurrency` coroutines side by side."""

    def __init__(self, name: str, slot: Slot, clerk: Clerk, stores: Stores) -> None:
        super().__init__(name, slot, clerk, stores)
        self._agenda: Agenda = queue.SimpleQueue()
        clerk.inbox = Inbox(self._agenda)
        clerk.tracker.interrupt = self._interrupt
        self._limits = ThreadLimits()
        clerk.keep_limits = self._limits.look
        self._most_threads: int = Conf.THREADS
        self._most_coroutines: int = Conf.ASYNC_CONCURRENCY
        self._threads = Threads(self._most_threads if self._has_threads else 0, self._agenda)
        self._loop = Loop(self._agenda)
        #: What comes after coroutines, one thing after another: their project may have no threads.
        self._after = Threads(int(self._most_coroutines > 1), self._agenda, "after")
        self._free_places = list(reversed(range(count_places())))
        #: Receipts are not enough: not every broker has them.
        self._under_way: set[int] = set()
        self._in_threads, self._on_loop = 0, 0
        self._taken_at = 0.0
        self._is_leaving = False
        #: A package that has killed workers, and runs without company.
        self._alone: Lease | None = None

    def _serve(self) -> None:
        self._threads.start()
        self._after.start()
        self._loop.start()
        while self._under_way or not self._is_leaving:
            if not self._take():
                self._attend()
        self._threads.close()
        self._after.close()
        self._loop.close()

    # -- beginning ----------------------------------------------------------------------------

    def _take(self) -> bool:
        """Take a package and let it begin; False when none came, or none may begin."""
        if self._is_leaving or not self._free():
            return False
        try:
            lease = self._clerk.inbox.get_nowait()
        except queue.Empty:
            return False
        if lease is None:
            self._leave_soon()
            return True
        self._taken_at = time.monotonic()
        lease.place = self._free_places.pop()
        close_hung_up()
        self._work(lease)
        if id(lease) not in self._under_way:
            self._leave(lease)
            if not self._is_leaving and self._lifetime.is_over():
                self._leave_soon()
        leave_connections()
        self._say_load()
        return True

    @property
    def _has_threads(self) -> bool:
        return self._most_threads > 1

    def _free(self) -> int:
        """Tell how many may begin, whatever they are."""
        if self._alone is not None:
            return 0
        if self._most_coroutines == 1:
            return self._most_threads - len(self._under_way)
        for_coroutines = self._most_coroutines - self._on_loop
        if not self._has_threads:
            return for_coroutines
        return min(for_coroutines, self._most_threads - self._in_threads)

    def _look_up(self, lease: Lease) -> History:
        past = super()._look_up(lease)
        if 0 < past.deaths < Conf.MAX_DEATHS and not past.verdict:
            # Whatever ran beside it would be charged with its next death, too.
            self._alone = lease
            while self._under_way:
                self._attend()
            if not self._may_start(lease):
                raise ResultsUnavailable("Its time was over before it could run alone.")
        return past

    def _start(self, lease: Lease, package: TaskPackage) -> None:
        # One that is to be atomic fails where functions run, which says why.
        func = None if package.get("atomic") else coroutine_function(package)
        if func is None and not self._has_threads:
            # In this thread, which begins nothing else meanwhile.
            super()._start(lease, package)
            return
        self._mark(Phase.RUNNING, lease, package)
        self._under_way.add(id(lease))
        run = self._clerk.tracker.begin(package)
        if func is None:
            self._in_threads += 1
            self._submit(self._threads, functools.partial(self._run_in_thread, lease, run))
        else:
            self._on_loop += 1
            announce_start(func, package, self._soft_limit)
            at_once = functools.partial(self._has_ended, lease, run)
            ending = Ending(at_once, functools.partial(self._take_back, lease, run))
            self._loop.submit(func, run, ending)

    def _run_in_thread(self, lease: Lease, run: Run) -> Deed:
        ended = self._call(lease, run, self._limits)
        self._has_ended(lease, run)
        if ended is None:
            self._limits.forget(run.id)
            return functools.partial(self._give_up, lease, in_thread=True)
        return functools.partial(self._end, lease, *ended, in_thread=True)

    def _has_ended(self, lease: Lease, run: Run) -> None:
        """Say so in the slot: the main thread may be busy, and the task's limit is over.

        By the runner: nobody else writes the mark of this place now.
        """
        self._mark(Phase.SETTLING, lease, run.package)

    def _take_back(self, lease: Lease, run: Run, outcome: Outcome) -> None:
        """Take the outcome of a coroutine. In the main thread, with all that may block."""
        self._clerk.tracker.end(run)
        # Reporters and pickling are the project's code, and have its limits.
        self._mark(Phase.RUNNING, lease, run.package)
        if outcome.error is not None:
            outcome = see_to_failure(outcome, self._soft_limit)
        outcome, record = self._conclude(lease, outcome, self._soft_limit)
        self._end(lease, outcome, record, in_thread=False)

    # -- ending -------------------------------------------------------------------------------

    def _end(self, lease: Lease, outcome: Outcome, record: Record, *, in_thread: bool) -> None:
        """Write a task's outcome down; its place is free unless somebody waits for that."""
        self._limits.forget(outcome.package["id"])
        place = self._keep(outcome, record)
        if place is not None:
            self._clerk.hand_over(Finished(record, lease.receipt, place))
            self._give_up(lease, in_thread=in_thread)
            return
        self._mark(Phase.SETTLING, lease, outcome.package)
        then = functools.partial(self._go_on, lease, outcome, record, in_thread=in_thread)
        self._clerk.hand_over(Finished(record, lease.receipt, None, _Then(self._agenda, then)))

    def _go_on(self, lease: Lease, outcome: Outcome, record: Record, *, in_thread: bool) -> None:
        """Run what a settled outcome has waited for, if anything, and free its place."""
        give_up = functools.partial(self._give_up, lease, in_thread=in_thread)
        if not record.is_awaited:
            give_up()
            return

        def announce_in_thread() -> Deed:
            self._mark(Phase.AFTER, lease, outcome.package)
            announce(outcome, record, self._limits)
            return give_up

        self._submit(self._threads if in_thread else self._after, announce_in_thread)

    def _give_up(self, lease: Lease, *, in_thread: bool) -> None:
        self._under_way.discard(id(lease))
        if in_thread:
            self._in_threads -= 1
        else:
            self._on_loop -= 1
        self._leave(lease)
        if not self._is_leaving and self._lifetime.is_over():
            self._leave_soon()
        self._say_load()

    def _leave(self, lease: Lease) -> None:
        self._slot.write_mark(None, lease.place)
        self._free_places.append(lease.place)
        if self._alone is lease:
            self._alone = None

    def _leave_soon(self) -> None:
        """Begin nothing more."""
        self._is_leaving = True
        self._taken_at = time.monotonic()

    # -- the agenda ---------------------------------------------------------------------------

    def _attend(self, longest: float | None = None) -> None:
        """Do the next thing on the agenda, waiting for it; and look at the limits of threads.

        For `longest` seconds at most, until it comes.
        """
        pauses = [] if longest is None else [longest]
        if self._in_threads:
            left = self._limits.look()
            pauses.append(_LOOK if left is None else min(left, _LOOK))
        try:
            deed = self._agenda.get(timeout=min(pauses, default=None))
        except queue.Empty:
            return
        if deed is not None:
            deed()

    def _pause(self, seconds: float) -> None:
        self._attend(seconds)

    def _submit(self, threads: Threads, do: Callable[[], Deed]) -> None:
        def do_and_leave() -> Deed:
            # As in the main thread: one that was cut would fail a task that has no part in it.
            close_hung_up()
            try:
                return do()
            finally:
                leave_connections()

        threads.submit(do_and_leave)

    def _say_load(self) -> None:
        """Tell the clerk what may begin, and the cluster whether anything runs."""
        clerk, free = self._clerk, self._free()
        clerk.running, clerk.free = len(self._under_way), free
        clerk.busy_since = 0.0 if free and not self._is_leaving else self._taken_at
        waiting = clerk.inbox.qsize()
        if not self._under_way and not waiting:
            self._slot.set("state", State.IDLE)
        if waiting in (0, clerk.low_water):
            clerk.wake()

    def _interrupt(self, task_id: str) -> None:
        """End the call of a cancelled task, wherever it runs. Called by the clerk."""
        self._loop.cancel(task_id)
        if self._has_threads:
            self._limits.cancel(task_id)
        else:
            self._soft_limit.cancel(task_id)


class _Then:
    """In the place of an event: what the main thread does once an outcome is settled."""

    def __init__(self, agenda: Agenda, do: Callable[[], Any]) -> None:
        self._agenda = agenda
        self._do = do

    def set(self) -> None:
        """Put it on the agenda."""
        self._agenda.put(self._do)
