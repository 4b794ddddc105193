"""A worker's main thread: runs one task after another. All user code runs here.

The clerk beside it fills the inbox and settles what is handed over. Everything the rest of the
cluster must know, should this process be killed, stands in its slot before it happens.
"""

import pickle
import resource
import signal
import threading
import time
import types
from pathlib import Path

from django.utils import timezone

from django_q import signals
from django_q.brokers import Lease
from django_q.cluster.clerk import Clerk
from django_q.cluster.outbox import Finished
from django_q.cluster.scoreboard import Mark, Phase, Slot, State
from django_q.conf import Conf, logger
from django_q.exceptions import PackageRejected, ResultsUnavailable, TimeoutException
from django_q.executor import (
    SoftLimit,
    announce_executed,
    close_connections,
    execute,
    send_signal,
    time_limit,
)
from django_q.followers import followers
from django_q.package import Outcome, TaskPackage, function_path, open_package
from django_q.recorder import Record, Stores, announce, prepare
from django_q.results import ledger
from django_q.results.ledger import History
from django_q.results.rejected import Rejection

#: Pause before a package is tried again whose past could not be looked up.
_LOOK_UP_PAUSE = 2.0
_STATM = Path("/proc/self/statm")
_PAGE_KIB = resource.getpagesize() // 1024


class Worker:
    """Runs packages from the clerk's inbox until it is told to stop or is spent."""

    def __init__(self, name: str, queue: str, slot: Slot, clerk: Clerk, stores: Stores) -> None:
        self._name = name
        self._queue = queue
        self._slot = slot
        self._clerk = clerk
        self._stores = stores
        self._soft_limit = SoftLimit()
        self._is_stopping = False
        self._done = 0

    def run(self) -> None:
        """Work until stopped or spent, then settle everything and say so in the slot."""
        signal.signal(signal.SIGTERM, self._on_term)
        send_signal(signals.post_spawn, proc_name=self._name)
        self._clerk.start()
        while (lease := self._next()) is not None:
            self._work(lease)
            close_connections()
            if self._is_spent():
                break
        self._slot.set("state", State.STOPPING)
        self._clerk.busy_since = 0.0
        self._clerk.finish()
        self._slot.set("state", State.LEFT)

    def _on_term(self, number: int, frame: types.FrameType | None) -> None:
        # SimpleQueue.put is reentrant: the handler may interrupt a get or put of this thread.
        self._is_stopping = True
        self._clerk.stop()
        self._clerk.inbox.put(None)

    def _next(self) -> Lease | None:
        clerk = self._clerk
        waiting = clerk.inbox.qsize()
        if waiting == 0:
            clerk.busy_since = 0.0
            self._slot.write_mark(None)
            self._slot.set("state", State.IDLE)
            clerk.wake()
        elif waiting == clerk.low_water:
            clerk.wake()
        return clerk.inbox.get()

    def _work(self, lease: Lease) -> None:
        now = time.monotonic()
        if self._is_stopping:
            self._clerk.give_back(lease)
            return
        if lease.receipt is not None and now >= lease.until:
            return  # it may have lapsed: another worker gets it, and may have it already
        self._clerk.busy_since = now
        until = now + Conf.OPEN_TIMEOUT + Conf.GRACE
        self._slot.write_mark(Mark(Phase.OPENING, lease.receipt, lease.key, now, until))
        self._slot.set("state", State.BUSY)
        if self._slot.get("recall") != lease.recall:
            # This process was stuck, and the housekeeper gave back what waited here.
            self._clerk.give_back(lease)
            return
        try:
            past = ledger.history(lease.key) if lease.deliveries > 1 else History()
            package = self._open(lease, past)
            if package is not None:
                self._run(lease, package, past)
        except ResultsUnavailable as error:
            logger.error("[%s] waits: %s", lease.id, error)
            self._clerk.give_back(lease, _LOOK_UP_PAUSE)

    def _open(self, lease: Lease, past: History) -> TaskPackage | None:
        """Open a package; None when it was rejected, which is handed over."""
        try:
            if past.in_opening and past.deaths >= Conf.MAX_DEATHS:
                raise PackageRejected(f"Opening it ended {past.deaths} workers: {past.reason}")
            with self._soft_limit.within(Conf.OPEN_TIMEOUT, "Opening the package"):
                return open_package(lease.payload, self._queue)
        except (PackageRejected, TimeoutException) as error:
            reason = str(error)
        except BaseException as error:  # unpickling is user code: SystemExit and worse
            reason = f"Opening it raised {type(error).__name__}: {error}"
        rejection = Rejection(self._queue, lease.payload, reason, lease.receipt)
        self._clerk.hand_over(Finished(rejection, lease.receipt))
        return None

    def _run(self, lease: Lease, package: TaskPackage, past: History) -> None:
        may_be_done = lease.deliveries > 1 or package.get("derived")
        if may_be_done and self._is_recorded(package["id"]):
            logger.info("Task %s [%s] was done already", package["name"], package["id"])
            now = timezone.now()
            # What follows may not have been sent when the first run was cut off.
            after = followers(Outcome(package, True, None, now, now))
            record = Record(None, lease.receipt, ledger_key=lease.key, followers=after)
            self._clerk.hand_over(Finished(record, lease.receipt))
            return
        verdict = self._verdict(lease, past)
        self._mark(Phase.RUNNING, lease, package)
        if verdict is None:
            outcome = execute(package, self._soft_limit)
        else:
            now = timezone.now()
            outcome = Outcome(package, False, verdict, now, now)
        self._finish(lease, outcome)

    def _is_recorded(self, task_id: str) -> bool:
        return self._stores.database.recorded([task_id]).get(task_id, False)

    def _verdict(self, lease: Lease, past: History) -> str | None:
        """Say why a package is not to be run again; None when it is."""
        if past.verdict is not None:
            return past.verdict
        if past.deaths >= Conf.MAX_DEATHS:
            return f"The task ended its worker {past.deaths} times; the last time {past.reason}"
        lost = ledger.lapses(lease.deliveries, past)
        if lost > Conf.MAX_LOST:
            return f"The lease of this task was lost {lost} times: its machine went away each time."
        return None

    def _mark(self, phase: Phase, lease: Lease, package: TaskPackage) -> None:
        now = time.monotonic()
        limit = None if phase is Phase.SETTLING else time_limit(package)
        until = now + limit + Conf.GRACE if limit is not None else 0.0
        path = function_path(package["func"])
        name = str(package["name"])[:100]
        mark = Mark(phase, lease.receipt, lease.key, now, until, package["id"], name, path)
        self._slot.write_mark(mark)

    def _finish(self, lease: Lease, outcome: Outcome) -> None:
        announce_executed(outcome, self._soft_limit)
        outcome, record = prepare(outcome, lease)
        half = None
        if not record.is_awaited:
            # Before the next package starts: a killed worker loses what ran, nothing finished.
            half = self._slot.journal.append(pickle.dumps(record, pickle.HIGHEST_PROTOCOL))
        self._done += 1
        self._slot.set("done", self._done)
        _log(outcome)
        if half is not None:
            self._clerk.hand_over(Finished(record, lease.receipt, half))
            return
        self._mark(Phase.SETTLING, lease, outcome.package)
        settled = threading.Event()
        self._clerk.hand_over(Finished(record, lease.receipt, half, settled))
        settled.wait()
        if record.is_awaited:
            self._mark(Phase.AFTER, lease, outcome.package)
            announce(outcome, self._soft_limit)

    def _is_spent(self) -> bool:
        if self._done >= Conf.RECYCLE:
            logger.info("%s is replaced after %d tasks", self._name, self._done)
            return True
        if Conf.MAX_RSS is None:
            return False
        rss = _resident_kib()
        self._slot.set("rss", rss)
        if rss > Conf.MAX_RSS:
            logger.info("%s is replaced: it uses %d KiB", self._name, rss)
            return True
        return False


def _log(outcome: Outcome) -> None:
    package = outcome.package
    if outcome.success:
        logger.debug("Processed %s [%s]", package["name"], package["id"])
        return
    path = function_path(package["func"])
    reason = str(outcome.result).split("\n", 1)[0].partition(" : Traceback")[0]
    logger.error("Failed %s [%s] (%s): %s", package["name"], package["id"], path, reason)


def _resident_kib() -> int:
    """Give the resident memory of this process in KiB; its peak where /proc is missing."""
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE_KIB
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
