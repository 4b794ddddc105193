"""A worker's main thread: runs one task after another. All user code runs here.

The clerk beside it fills the inbox and settles what is handed over. Everything the rest of the
cluster must know, should this process be killed, stands in its slot before it happens.
"""

import os
import queue
import signal
import threading
import time
import types

from django.utils import timezone

from django_q import signals
from django_q.brokers import Lease
from django_q.brokers.orm_trouble import close_hung_up
from django_q.cluster.admission import Admission
from django_q.cluster.ahead import take_package
from django_q.cluster.clerk import Clerk
from django_q.cluster.connections import OpenConnections
from django_q.cluster.effects import Effects
from django_q.cluster.lifetime import Lifetime
from django_q.cluster.opening import open_or_reject
from django_q.cluster.outbox import Finished
from django_q.cluster.outcome_log import log_outcome
from django_q.cluster.past import Past
from django_q.cluster.scoreboard import Mark, Phase, Slot, State
from django_q.cluster.title import title_of
from django_q.conf import Conf, logger
from django_q.exceptions import ResultsUnavailable, TimeoutException
from django_q.executor import announce_executed, decided, send_signal, time_limit
from django_q.followers import follower_of
from django_q.following import last_entries
from django_q.limit_options import LIMITS
from django_q.package import Outcome, TaskPackage, function_path
from django_q.recorder import Record, Stores, announce, pack, prepare
from django_q.results.ledger import NO_HISTORY, History
from django_q.results.rejected import Rejection
from django_q.run import Run
from django_q.soft_limit import SoftLimit


class Worker:
    """Runs packages from the clerk's inbox until it is told to stop or is spent."""

    def __init__(self, name: str, slot: Slot, clerk: Clerk, stores: Stores) -> None:
        self._name = name
        self._slot = slot
        self._clerk = clerk
        self._past = Past(stores, self._may_start, clerk, self._pause)
        self._admission = Admission(self._past)
        self._effects = Effects(clerk.queue, stores)
        self._soft_limit = SoftLimit()
        clerk.tracker.interrupt = self._soft_limit.cancel
        self._pid = os.getpid()
        self._lifetime = Lifetime(name, slot)
        self._title = title_of(f"qcluster {Conf.CLUSTER_NAME} {name}")

    def run(self) -> None:
        """Work until stopped or spent, then settle everything and say so in the slot."""
        signal.signal(signal.SIGTERM, self._on_term)
        self._announce_spawned()
        # Before the clerk leases: only the slot of a worker that was ready is looked at.
        self._slot.set("state", State.IDLE)
        self._clerk.start()
        self._serve()
        self._slot.set("state", State.STOPPING)
        self._slot.write_mark(None)
        self._clerk.busy_since = 0.0
        self._clerk.finish()
        self._slot.set("state", State.LEFT)

    def _announce_spawned(self) -> None:
        try:
            with self._soft_limit.within(Conf.OPEN_TIMEOUT, "A receiver of post_spawn"):
                send_signal(signals.post_spawn, proc_name=self._name)
        except TimeoutException as error:
            logger.error("%s", error)

    def _on_term(self, number: int, frame: types.FrameType | None) -> None:
        self._clerk.stop()

    def _serve(self) -> None:
        """Take one package after another out of the inbox, until there are no more to come."""
        connections = OpenConnections()
        kept = connections.leave()
        while (lease := self._next()) is not None:
            # One that was cut since the last task would fail the next, which has no part in that.
            close_hung_up(kept)
            self._work(lease)
            kept = connections.leave()
            if self._lifetime.is_over():
                break

    def _next(self) -> Lease | None:
        inbox, low_water = self._clerk.inbox, self._clerk.low_water
        if low_water and inbox.qsize() == low_water:
            self._clerk.wake()
        try:
            return inbox.get_nowait()
        except queue.Empty:  # not what was counted: the clerk may take back what waits
            self._say_idle()
            return inbox.get()

    def _say_idle(self) -> None:
        self._clerk.busy_since = 0.0
        self._slot.write_mark(None)
        self._slot.set("state", State.IDLE)
        if self._title is not None:
            self._title.show_idle()
        self._clerk.wake()

    def _work(self, lease: Lease) -> None:
        self._clerk.busy_since = time.monotonic()
        package = self._begin(lease)
        self._slot.set("state", State.BUSY)
        if not self._may_start(lease):
            self._clerk.give_back(lease)
            return
        try:
            past = NO_HISTORY
            if lease.deliveries != 1:
                past = self._look_up(lease)
                self._mark(Phase.OPENING, lease)
            package = package or self._open(lease, past)
            if package is not None:
                # Where it comes from, for receivers: the keys are Django Q's.
                package["cluster"], package["ack_id"] = lease.queue, lease[0]
                self._run(lease, package, past)
        except ResultsUnavailable:
            self._clerk.give_back(lease)

    def _begin(self, lease: Lease) -> TaskPackage | None:
        """Say in the slot what comes; gives the package where no code runs when it is opened.

        The mark of a first delivery has its limit at once; others are looked up before.
        """
        if lease.deliveries != 1:
            self._mark(Phase.CHECKING, lease)
            return None
        package = take_package(lease)
        self._mark(Phase.OPENING if package is None else Phase.RUNNING, lease, package)
        return package

    def _may_start(self, lease: Lease) -> bool:
        """Tell whether a lease is surely ours still, and time for new work."""
        if self._clerk.is_stopping:
            return False
        if self._slot.get("recall") != lease.recall:
            return False  # this process was stuck, and the housekeeper gave back what waited here
        # What may have lapsed another worker may have already.
        return lease[0] is None or time.monotonic() < lease.until

    def _pause(self, seconds: float) -> None:
        """Let time pass while the books do not answer."""
        time.sleep(seconds)

    def _look_up(self, lease: Lease) -> History:
        """Give what became of a package before. Raises ResultsUnavailable when it must not wait."""
        return self._past.history(lease)

    def _open(self, lease: Lease, past: History) -> TaskPackage | None:
        """Open a package; None when it was rejected, which is handed over."""
        opened = open_or_reject(lease, past, self._soft_limit)
        if not isinstance(opened, Rejection):
            return opened
        self._clerk.hand_over(Finished(opened, lease.receipt))
        return None

    def _run(self, lease: Lease, package: TaskPackage, past: History) -> None:
        if lease.deliveries != 1 or package.get("derived"):
            self._mark(Phase.CHECKING, lease, package)
            ended = self._past.ending(lease, package)
            if ended is not None:
                self._settle_again(lease, ended)
                return
        verdict = self._past.verdict(lease, package, past)
        if verdict is not None:
            now = timezone.now()
            self._mark(Phase.RUNNING, lease, package)
            failed = Outcome(package, False, verdict.text, now, now, cause=verdict.cause)
            failed = decided(failed, self._soft_limit)
            self._finish(lease, *self._conclude(lease, failed, self._soft_limit))
        elif not self._is_postponed(lease, package):
            self._start(lease, package)

    def _start(self, lease: Lease, package: TaskPackage) -> None:
        """Run a task; nothing stands in its way any more."""
        if lease.phase != Phase.RUNNING:
            self._mark(Phase.RUNNING, lease, package)
        if self._title is not None:
            path = function_path(package["func"])
            self._title.show_task(package["name"], path, package.get("group"))
        run = self._clerk.tracker.begin(package)
        ended = self._call(lease, run, self._soft_limit)
        if ended is not None:
            self._finish(lease, *ended)

    def _call(self, lease: Lease, run: Run, soft_limit: SoftLimit) -> tuple[Outcome, Record] | None:
        """Run a task, and make the record of its outcome; None for a run that does not count."""
        ended = self._effects.execute(
            lease, run, soft_limit, lambda phase: self._mark(phase, lease, run.package)
        )
        if ended is None:
            self._clerk.tracker.void(run, lease)
            self._clerk.give_back(lease)
            return None
        self._clerk.tracker.end(run)
        outcome, committed = ended
        return self._conclude(lease, outcome, soft_limit, committed)

    def _is_postponed(self, lease: Lease, package: TaskPackage) -> bool:
        """Tell whether the task may not start yet, and let it come back later."""
        if LIMITS.isdisjoint(package):
            return False
        self._mark(Phase.CHECKING, lease, package)
        later = self._admission.ask(lease, package)
        if later is None:
            return False
        if later.package is None:
            lease.pause = later.delay
            self._clerk.give_back(lease)
            return True
        again = follower_of(later.package, lease.queue, later.delay)
        self._hand_over(Record(None, lease.receipt, ledger_key=lease.key, followers=(again,)))
        return True

    def _settle_again(self, lease: Lease, ended: Outcome) -> None:
        """Send what follows a run that is recorded already: its first one may have been cut off."""
        logger.info("Task %s [%s] was done already", ended.package["name"], ended.package["id"])
        after, entries = self._past.followers(lease, ended), last_entries(ended)
        key = lease.key
        self._hand_over(
            Record(None, lease.receipt, ledger_key=key, followers=after, entries=entries)
        )

    def _hand_over(self, record: Record) -> None:
        """Hand over what has no outcome; in the journal, or it might be given back as waiting."""
        place = self._slot.journal.append(pack(record))
        self._clerk.hand_over(Finished(record, record.receipt, place))

    def _mark(self, phase: Phase, lease: Lease, package: TaskPackage | None = None) -> None:
        """Say in the slot what this thread does, and when it is to be killed for that."""
        now, lease.phase = time.monotonic(), phase
        limit: float | None = None
        if phase is Phase.OPENING:
            limit = Conf.OPEN_TIMEOUT
        elif phase in (Phase.RUNNING, Phase.AFTER) and package is not None:
            limit = time_limit(package)
        until = 0.0 if limit is None else now + limit + Conf.GRACE
        if package is None:
            mark = Mark(phase, lease[0], lease.key, now, until)
        else:
            name, path = str(package["name"])[:100], function_path(package["func"])
            mark = Mark(phase, lease[0], lease.key, now, until, package["id"], name, path)
        self._slot.write_mark(mark, lease.place)

    def _finish(self, lease: Lease, outcome: Outcome, record: Record) -> None:
        place = self._keep(outcome, record)
        if place is not None:
            self._clerk.hand_over(Finished(record, lease.receipt, place))
            return
        self._mark(Phase.SETTLING, lease, outcome.package)
        settled = threading.Event()
        self._clerk.hand_over(Finished(record, lease.receipt, None, settled))
        settled.wait()
        if record.is_awaited:
            self._mark(Phase.AFTER, lease, outcome.package)
            announce(outcome, record, self._soft_limit)

    def _conclude(
        self, lease: Lease, outcome: Outcome, soft_limit: SoftLimit, committed: Record | None = None
    ) -> tuple[Outcome, Record]:
        """Make the record of an outcome, with all user code that belongs to that."""
        if os.getpid() != self._pid:
            # The task has forked, and this is the child, come back by oversight: it must not go
            # on as a second worker in the same slot.
            os._exit(0)
        if signals.post_execute_in_worker.receivers or "task_backend" in outcome.package:
            # Their time is not the task's.
            self._mark(Phase.RUNNING, lease, outcome.package)
            announce_executed(outcome, soft_limit)
        return (outcome, committed) if committed else prepare(outcome, lease)

    def _keep(self, outcome: Outcome, record: Record) -> int | None:
        """Write an outcome into the journal; None when it has to be settled at once."""
        place = None
        if not record.is_awaited:
            # Before the next package starts: a killed worker loses what ran, nothing finished.
            place = self._slot.journal.append(pack(record))
        self._lifetime.count()
        log_outcome(outcome)
        return place
