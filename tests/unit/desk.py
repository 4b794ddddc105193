"""A clerk, or a whole worker, with all it needs, in threads of the test."""

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connections

from django_q.brokers import Broker, Lease
from django_q.brokers.memory import Memory
from django_q.cluster.clerk import Clerk
from django_q.cluster.outbox import Finished
from django_q.cluster.scoreboard import Scoreboard
from django_q.cluster.settlement import Settlement
from django_q.cluster.worker import Worker
from django_q.recorder import Record, make_stores
from tests.waiting import wait_until

#: The process of the tests, in which a clerk is only a thread.
_TESTS = os.getpid()


class _Clerk(Clerk):
    """Leaves no connection behind: here its thread ends before its process."""

    def run(self) -> None:
        try:
            super().run()
        finally:
            connections.close_all()

    def _round(self) -> bool:
        # A test that failed may have dropped its desk. Without supervisor a clerk ends its process
        # group, which here is that of the tests.
        if os.getpid() == _TESTS and self._life.poll():
            return True
        return super()._round()


class Desk:
    """One worker's clerk at work on a broker; `close` ends it.

    The test stands in the place of the main thread, or calls `work`, which does.
    """

    def __init__(self, broker: Broker, places: int = 1) -> None:
        context = multiprocessing.get_context("fork")
        self.broker = broker
        self.board = Scoreboard(context, 2, places)
        self.slot = self.board.slot(1)
        self.life, self.supervisor = context.Pipe(duplex=False)
        self.stores = make_stores()
        settlement = Settlement(broker, self.stores)
        self.clerk = _Clerk(broker, settlement, self.board, self.slot, self.life)

    def start(self) -> "Desk":
        """Begin to lease."""
        self.clerk.start()
        return self

    def take(self, limit: float = 5.0) -> Lease | None:
        """Take the next lease, as a main thread that was idle and is busy from now on."""
        if self.clerk.inbox.empty():
            self.clerk.busy_since = 0.0
            self.clerk.wake()
        elif self.clerk.inbox.qsize() == self.clerk.low_water:
            self.clerk.wake()
        lease = self.clerk.inbox.get(timeout=limit)
        self.clerk.busy_since = time.monotonic()
        return lease

    def finish(self, lease: Lease | None) -> None:
        """Hand the outcome of a lease over; its result is not kept, only acknowledged."""
        assert lease is not None
        self.clerk.hand_over(Finished(Record(None, lease.receipt), lease.receipt))

    def rest(self) -> None:
        """Be idle."""
        self.clerk.busy_since = 0.0
        self.clerk.wake()

    def quicken(self, count: int = 60) -> None:
        """Do quick work until the clerk takes several packages at a time, then be idle."""
        # Once is enough, unless the machine was so busy that the work was slow.
        while self.clerk.low_water < 2:
            self.broker.enqueue_many([f"quick {number}" for number in range(count)])
            for _ in range(count):
                self.finish(self.take())
            self.rest()
            wait_until(lambda: self.broker.lock_size() == 0, what="the quick work to be settled")

    def gets_nothing(self, limit: float = 0.3) -> bool:
        """Tell whether no lease comes in this time."""
        try:
            return self.clerk.inbox.get(timeout=limit) is None
        except queue.Empty:
            return True

    def worker(self) -> Worker:
        """Make the worker of this desk."""
        return Worker("worker-1", self.slot, self.clerk, self.stores)

    def work(self, until: Callable[[], Any] | None = None) -> None:
        """Run a worker here until a condition holds (default: the queue is done), then stop it."""

        def is_done() -> bool:
            return self.broker.queue_size() == 0 and self.broker.lock_size() == 0

        def watch() -> None:
            try:
                wait_until(until or is_done, 20.0, what="the worker")
            finally:
                self.clerk.stop()
                connections.close_all()

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            self.worker().run()
        finally:
            watcher.join()

    def close(self) -> None:
        """End the clerk, whatever it is doing."""
        if self.clerk.ident is not None and self.clerk.is_alive():
            self.rest()
            self.clerk.finish()
        self.supervisor.close()
        self.life.close()


class Quick(Memory):
    """Is left quickly at the end of a test."""

    idle_wait = 0.05


@contextlib.contextmanager
def signals_kept() -> Iterator[None]:
    """Undo at the end what a worker, or a limit of time, does to the signals of this process."""
    numbers = (signal.SIGTERM, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in numbers}
    left = signal.setitimer(signal.ITIMER_REAL, 0)
    yield
    for number in numbers:
        signal.signal(number, before[number])
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
    signal.setitimer(signal.ITIMER_REAL, *left)


@contextlib.contextmanager
def quick_desk() -> Iterator[Desk]:
    """Give a desk whose worker works in this process, and leaves its signals as they were."""
    with signals_kept(), contextlib.closing(Desk(Quick())) as desk:
        yield desk
