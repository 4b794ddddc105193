"""Where a scenario takes place: a broker, a database, clusters, and what the tasks leave behind."""

import contextlib
import functools
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
from django.db import OperationalError, connections
from django.test import override_settings

from django_q.brokers import Broker, get_broker
from django_q.models import Task
from django_q.tasks import async_tasks
from tests.cluster.ground import is_empty, lives, stat_of
from tests.cluster.trace import Trace
from tests.faults.findings import Findings
from tests.processes import ClusterProcess
from tests.servers import Server
from tests.waiting import wait_until

#: Workers of a cluster, tasks of a full run, and how long a task takes, in seconds.
WORKERS = 4
FULL = 5000
SHORTEST, LONGEST = 0.002, 0.040
#: Seconds until the work of a dead machine comes back; IronMQ takes no less than its own.
RETRY = {"ironmq": 30}


class Arena:
    """One scenario's ground. Everything random comes from its seed."""

    def __init__(
        self, findings: Findings, servers: list[Server], broker: dict[str, Any], folder: Path
    ) -> None:
        self.findings = findings
        self.servers = servers
        self.retry = RETRY.get(findings.broker, 5)
        #: What `Q_CLUSTER` says, for this process and for clusters.
        self.settings = {
            **broker,
            "retry": self.retry,
            "workers": WORKERS,
            "save_limit": 0,
            "cache": "shared",
        }
        self.folder = folder
        self.random = random.Random(findings.seed)
        self.trace = Trace(folder / "trace")
        self.tasks = FULL
        self._sent = 0
        self._clusters: list[ClusterProcess] = []

    def times(self, full: int) -> int:
        """Give how often a fault is injected into this many tasks, where `full` is for all."""
        return max(3, full * self.tasks // FULL)

    def seconds(self) -> float:
        """How long the ideal drain takes."""
        return self.tasks * (SHORTEST + LONGEST) / 2 / WORKERS

    # -- clusters and tasks ------------------------------------------------------------------

    def cluster(self, *arguments: str, wait: bool = True, **settings: Any) -> ClusterProcess:
        """Start a cluster; it is ended with the scenario."""
        started = ClusterProcess(self.folder, {**self.settings, **settings}, *arguments)
        self._clusters.append(started)
        return started.wait_ready(60) if wait else started

    def close(self) -> None:
        """End all clusters."""
        for started in self._clusters:
            started.kill()

    def send(self, count: int | None = None) -> list[str]:
        """Enqueue tasks that write their start and end, of random length; their ids."""
        first, self._sent = self._sent, self._sent + (self.tasks if count is None else count)
        lengths = (self.random.uniform(SHORTEST, LONGEST) for _ in range(self._sent - first))
        calls = [(self.trace.path, first + n, length) for n, length in enumerate(lengths)]
        return async_tasks("tests.site.tasks.record", calls)

    @property
    def broker(self) -> Broker:
        """A broker on the queue."""
        return get_broker()

    def log(self) -> str:
        """What all clusters have logged."""
        return "\n".join(started.log() for started in self._clusters)

    # -- waiting -----------------------------------------------------------------------------

    def wait_progress(self, part: float, limit: float = 120.0) -> None:
        """Wait until this part of the tasks has ended."""
        wanted = int(part * self._sent)
        wait_until(lambda: len(self.trace.ended()) >= wanted, limit, pause=0.05, what="progress")

    def wait_done(self, limit: float = 240.0) -> float:
        """Wait until every task has ended and is settled; when that was, on the monotonic clock."""
        with contextlib.suppress(AssertionError):  # what is missing is counted as lost
            wait_until(lambda: len(self.trace.ended()) >= self._sent, limit, pause=0.1)
            wait_until(lambda: self._stored() >= self._sent, 60, pause=0.1)
        done = time.monotonic()
        with contextlib.suppress(AssertionError):
            broker = self.broker
            wait_until(lambda: is_empty(broker), 2 * self.retry + 10, pause=0.2)
        return done

    def _stored(self) -> int:
        rows = Task.objects.filter(func="tests.site.tasks.record", success=True)
        try:
            return rows.count()
        except OperationalError:  # our own connection was cut as well
            connections[rows.db].close()
            return rows.count()

    def count(self, dup: int) -> None:
        """Count the invariants: nothing lost, nothing left, no more run twice than `dup`."""
        started, ended = self.trace.started(), self.trace.ended()
        self.findings.exactly("lost", self._sent - len(ended), 0)
        self.findings.at_most("dup", started.total() - len(started), dup)
        self.findings.exactly("unstored", self._sent - self._stored(), 0)
        self.findings.holds("queue empty", is_empty(self.broker))

    def timed(self, work: Callable[[], None], factor: float, more: float = 5.0) -> None:
        """Drain with `work` in between; its time may be `factor` of the undisturbed one."""
        ideal = undisturbed(self)
        began = time.monotonic()
        self.send()
        work()
        took = self.wait_done() - began
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

        def ready() -> list[psutil.Process]:
            children = [child for child in cluster.children() if lives(child)]
            return [child for child in children if not is_alone(child)]

        return wait_until(ready, 20, what="a worker that is ready")

    def housekeeper(self, cluster: ClusterProcess) -> psutil.Process | None:
        """The housekeeper of a cluster, as its heartbeat names it; None if that one is gone."""
        pid = stat_of(cluster, 20).housekeeper
        return next((child for child in cluster.children() if child.pid == pid), None)

    def replaced_in(self, cluster: ClusterProcess, without: int) -> float:
        """Wait until a cluster has all its children again, without one; the seconds it took."""
        began = time.monotonic()

        def is_whole() -> bool:
            pids = [child.pid for child in cluster.children() if lives(child)]
            return len(pids) == WORKERS + 1 and without not in pids

        wait_until(is_whole, 10, pause=0.005, what="a new child")
        return time.monotonic() - began


def is_alone(process: psutil.Process) -> bool:
    """Tell by its threads: a worker that is ready has its clerk."""
    try:
        return process.num_threads() == 1
    except psutil.NoSuchProcess:
        return False


@contextlib.contextmanager
def configured(settings: dict[str, Any]) -> Iterator[None]:
    """Let this process use these settings of `Q_CLUSTER`."""
    with override_settings(Q_CLUSTER=settings):
        yield


_ideals: dict[tuple[str, int], float] = {}


def undisturbed(arena: Arena) -> float:
    """Give T0: the seconds of the same drain without faults, measured once a run."""
    key = arena.findings.broker, arena.tasks
    if key not in _ideals:
        _ideals[key] = _measure(arena)
    return _ideals[key]


def _measure(arena: Arena) -> float:
    apart = functools.partial(Arena, Findings("T0", arena.findings.broker, 0), arena.servers)
    folder = arena.folder / "undisturbed"
    folder.mkdir()
    queue = f"{arena.settings['name']}-t0"
    ground = apart(arena.settings | {"name": queue}, folder)
    ground.tasks = arena.tasks
    with configured(ground.settings):
        try:
            ground.cluster()
            began = time.monotonic()
            ground.send()
            took = ground.wait_done() - began
            ground.count(dup=0)
        finally:
            ground.close()
    if ground.findings.failures:
        raise AssertionError(f"Without any fault: {ground.findings.line}")
    Task.objects.all().delete()
    return took
