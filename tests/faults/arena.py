"""Where a scenario takes place: a broker, a database, clusters, and what the tasks leave behind."""

import concurrent.futures
import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from django_q.brokers import Broker, get_broker
from tests.cluster.ground import stat_of
from tests.cluster.trace import Trace
from tests.faults.findings import Findings
from tests.faults.systems import System
from tests.processes import ClusterProcess
from tests.servers import Server
from tests.waiting import wait_until

#: Workers of a cluster, tasks of a full run, and how long a task takes, in seconds.
WORKERS = 4
FULL = 5000
SHORTEST, LONGEST = 0.002, 0.040
#: Seconds until the work of a dead machine comes back; IronMQ takes no less than its own.
RETRY = {"ironmq": 30}


class Stalled(AssertionError):
    """Nothing goes on any more: what should happen next did not."""


class Arena:
    """One scenario's ground. Everything random comes from its seed."""

    def __init__(
        self,
        findings: Findings,
        servers: list[Server],
        broker: dict[str, Any],
        folder: Path,
        kind: type[System] = System,
    ) -> None:
        self.findings = findings
        self.servers = servers
        #: What `Q_CLUSTER` says, for this process and for clusters.
        self.settings = {
            **broker,
            "retry": RETRY.get(findings.broker, 5),
            "workers": WORKERS,
            "save_limit": 0,
            "cache": "shared",
        }
        self.folder = folder
        self.system = kind(self.settings, servers, folder)
        self.retry = int(self.settings["retry"])
        self.random = random.Random(findings.seed)
        self.trace = Trace(folder / "trace")
        self.tasks = FULL
        #: Seconds without a task that ends after which nothing more is expected. What comes back
        #: may have to come back twice.
        self.patience = 2 * self.retry + 35
        self._sent = 0
        self._newest_end = 0.0
        self.clusters: list[ClusterProcess] = []

    def times(self, full: int) -> int:
        """Give how often a fault is injected into this many tasks, where `full` is for all."""
        return max(3, full * self.tasks // FULL)

    def seconds(self) -> float:
        """How long the ideal drain takes."""
        return self.tasks * (SHORTEST + LONGEST) / 2 / WORKERS

    # -- clusters and tasks ------------------------------------------------------------------

    def cluster(self, *arguments: str, wait: bool = True, **settings: Any) -> ClusterProcess:
        """Start a cluster; it is ended with the scenario."""
        started = self.system.start(*arguments, **settings)
        self.clusters.append(started)
        return started.wait_ready(60) if wait else started

    def close(self) -> None:
        """End all clusters."""
        for started in self.clusters:
            started.kill()

    def send(self, count: int | None = None) -> list[str]:
        """Enqueue tasks that write their start and end, of random length; their ids."""
        first, self._sent = self._sent, self._sent + (self.tasks if count is None else count)
        lengths = (self.random.uniform(SHORTEST, LONGEST) for _ in range(self._sent - first))
        calls = [(self.trace.path, first + n, length) for n, length in enumerate(lengths)]
        return self.system.enqueue_many(calls)

    @property
    def broker(self) -> Broker:
        """A broker on the queue."""
        return get_broker()

    def log(self) -> str:
        """What all clusters have logged."""
        return "\n".join(started.log() for started in self.clusters)

    # -- waiting -----------------------------------------------------------------------------

    def wait_progress(self, part: float) -> None:
        """Wait until this part of the tasks has ended; raises Stalled."""
        self._wait_ends(int(part * self._sent))

    def first_start(self, work: Callable[[], object], limit: float = 10.0) -> float:
        """Do some work; seconds from its beginning until a task has started. Raises Stalled."""
        began = time.monotonic()

        def watch() -> float:
            self.wait_for(lambda: os.path.exists(self.trace.path), limit, "no task started")
            return time.monotonic() - began

        # Beside the work: some brokers take seconds until they have the last of many tasks.
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            watching = pool.submit(watch)
            work()
        return watching.result()

    def wait_done(self) -> float:
        """Wait until all is over; when the last task ended and was settled, on the monotonic clock.

        What is missing when nothing goes on any more is counted as lost.
        """
        with contextlib.suppress(Stalled):
            self._wait_ends(self._sent)
            with contextlib.suppress(AssertionError):
                wait_until(lambda: self.system.stored() >= self._sent, 60, pause=0.1)
            self._newest_end = time.monotonic()
        with contextlib.suppress(AssertionError):
            wait_until(self.system.is_empty, 2 * self.retry + 10, pause=0.2)
        return self._newest_end

    def wait_for(self, condition: Callable[[], object], limit: float, otherwise: str) -> None:
        """Wait for something that may not come: raises Stalled then, and says what happened."""
        try:
            # Looking at all processes of a machine costs what the cluster would need.
            wait_until(condition, limit, pause=0.02)
        except AssertionError:
            raise Stalled(f"{otherwise} within {limit:g} s") from None

    @contextlib.contextmanager
    def noting_stalls(self) -> Iterator[None]:
        """End the work in the context where nothing goes on; what was lost is counted behind it."""
        try:
            yield
        except Stalled as stalled:
            self.findings.failures.append(str(stalled))

    def _wait_ends(self, wanted: int) -> None:
        most, self._newest_end = -1, time.monotonic()
        while (ended := len(self.trace.ended())) < wanted:
            if ended > most:
                most, self._newest_end = ended, time.monotonic()
            if time.monotonic() - self._newest_end > self.patience:
                raise Stalled(f"no task ended for {self.patience} s, {ended} of {self._sent} had")
            time.sleep(0.05)

    def count(self, dup: int) -> None:
        """Count the invariants: nothing lost, nothing left, no more run twice than `dup`."""
        started, ended = self.trace.started(), self.trace.ended()
        self.findings.exactly("lost", self._sent - len(ended), 0)
        self.findings.at_most("dup", started.total() - len(started), dup)
        self.findings.exactly("unstored", self._sent - self.system.stored(), 0)
        self.findings.holds("queue empty", self.system.is_empty())

    def timed(self, work: Callable[[], None], factor: float, more: float = 5.0) -> None:
        """Drain with `work` in between; its time may be `factor` of the undisturbed one."""
        ideal = undisturbed(self)
        began = time.monotonic()
        self.send()
        with self.noting_stalls():
            work()
        took = self.wait_done() - began
        self.findings.note("T0", ideal, " s")
        self.findings.at_most("T/T0", took / ideal, factor + more / ideal)

    # -- faults ------------------------------------------------------------------------------

    def kill(self, pid: int, number: int = signal.SIGKILL) -> bool:
        """Send a signal; False when nobody is there any more."""
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True

    def workers(self, cluster: ClusterProcess) -> list[psutil.Process]:
        """The workers of a cluster that are ready, oldest first; waits for one."""
        return wait_until(lambda: self.system.workers(cluster), 20, what="a worker that is ready")

    def housekeeper(self, cluster: ClusterProcess) -> psutil.Process | None:
        """The housekeeper of a cluster, as its heartbeat names it; None if that one is gone."""
        pid = stat_of(cluster, 20).housekeeper
        return next((child for child in cluster.children() if child.pid == pid), None)

    def replaced_in(self, cluster: ClusterProcess, without: int) -> float:
        """Wait until a cluster has all its children again, without one; the seconds it took."""
        began = time.monotonic()
        is_whole = self.system.is_whole
        self.wait_for(lambda: is_whole(cluster, WORKERS, without), 10, "no new child")
        return time.monotonic() - began


_ideals: dict[tuple[str, str, int], float] = {}


def undisturbed(arena: Arena) -> float:
    """Give T0: the seconds of the same drain without faults, measured once a run."""
    key = arena.findings.system, arena.findings.broker, arena.tasks
    if key not in _ideals:
        _ideals[key] = _measure(arena)
    return _ideals[key]


def _measure(arena: Arena) -> float:
    folder = arena.folder / "undisturbed"
    folder.mkdir()
    apart = arena.settings | {"name": f"{arena.settings['name']}-t0"}
    findings = Findings("T0", arena.findings.broker, 0, arena.findings.system)
    ground = Arena(findings, arena.servers, apart, folder, type(arena.system))
    ground.tasks = arena.tasks
    with ground.system.at_work():
        try:
            ground.cluster()
            began = time.monotonic()
            ground.send()
            took = ground.wait_done() - began
            ground.count(dup=0)
        finally:
            ground.close()
        ground.system.forget()
    arena.findings.failures += [f"without any fault: {text}" for text in findings.failures]
    return took
