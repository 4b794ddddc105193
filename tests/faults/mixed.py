"""Many faults, one after the other and at any moment: F45."""

import collections
import contextlib
import time
from typing import Any

import psycopg
from django.db import connections

from django_q.models import Task
from django_q.tasks import async_task
from tests.cluster.ground import is_empty
from tests.faults.arena import FULL, WORKERS, Arena
from tests.faults.network import LATENCY, Network, diverted
from tests.faults.producer import Producer
from tests.faults.scenario import scenario
from tests.faults.sending import PATH
from tests.waiting import wait_until

#: Seconds of the full run; of a smaller one in proportion to its tasks.
LENGTH = 1800.0
#: Seconds between two faults, at least and at most.
PAUSES = 0.5, 3.0
#: Seconds for which a server is away, and the network silent or slow.
AWAY, SILENT, SLOW = 1.0, 6.0, 3.0
#: Seconds after a fault until the next task has ended.
RECOVERY = 20.0
#: Packages that a worker may have leased, run and not yet settled.
UNSETTLED = 10


@scenario("F45", ("redis", "postgres", "sqs"))
def everything_happens(arena: Arena) -> None:
    """30 minutes of F1, F3, F8, F12, F13 and F15 mixed."""
    end = time.monotonic() + LENGTH * arena.tasks / FULL
    with diverted(arena) as (network, led):
        with Producer(arena, 0.02, **led) as producer:
            chaos = _Chaos(arena, network, led, producer)
            while time.monotonic() < end:
                chaos.strike()
            producer.stop()
        with contextlib.suppress(AssertionError):  # what is missing is counted
            wait_until(lambda: not producer.missing() and chaos.is_poison_told(), 120, pause=0.2)
            broker = arena.broker
            wait_until(lambda: is_empty(broker), 2 * arena.retry + 10, pause=0.2)
    chaos.count()


class _Chaos:
    """Does something bad, over and over."""

    def __init__(
        self, arena: Arena, network: Network, led: dict[str, Any], producer: Producer
    ) -> None:
        self._arena, self._network, self._led, self._producer = arena, network, led, producer
        self._cluster = arena.cluster(**led)
        self._done: collections.Counter[str] = collections.Counter()
        self._poison: list[str] = []
        self._recovered: list[float] = []
        #: What each deed may cost: starts beyond the first of a task.
        self._deeds = {
            self._kill_worker: 1,
            self._kill_supervisor: UNSETTLED * WORKERS,
            self._poison_workers: 0,
            self._reset: UNSETTLED * WORKERS,
            self._fall_silent: UNSETTLED * WORKERS,
            self._be_slow: 0,
        }
        if arena.findings.broker != "sqs":  # ministack keeps its messages in memory
            self._deeds[self._kill_server] = UNSETTLED * WORKERS
        if arena.findings.broker == "postgres":
            self._deeds[self._terminate_sessions] = UNSETTLED * WORKERS
        self._allowed = 0

    def strike(self) -> None:
        """Do one bad thing, and wait until tasks end again."""
        deed = self._arena.random.choice(list(self._deeds))
        time.sleep(self._arena.random.uniform(*PAUSES))  # the fault: at any moment
        deed()
        self._done[deed.__name__.strip("_").replace("_", " ")] += 1
        self._allowed += self._deeds[deed]
        began, ended = time.monotonic(), self._ended()
        wait_until(lambda: self._ended() > ended, 60, pause=0.02, what=f"work after {deed}")
        self._recovered.append(time.monotonic() - began)

    def is_poison_told(self) -> bool:
        """Tell whether each poisonous task has its failed row."""
        return self._told() == len(self._poison)

    def count(self) -> None:
        """Note the invariants."""
        findings, trace = self._arena.findings, self._producer.trace
        accepted = self._producer.accepted()
        rows = Task.objects.filter(func=PATH)
        kept = {row.args[1] for row in rows.filter(success=True)}
        for name, count in sorted(self._done.items()):
            findings.note(name, count)
        findings.at_least("accepted", len(accepted), 1)
        findings.exactly("lost", len(self._producer.missing()), 0)
        findings.exactly("unstored", len(accepted - kept), 0)
        findings.exactly("good ones failed", rows.filter(success=False).count(), 0)
        started = trace.started()
        findings.at_most("dup", started.total() - len(started), self._allowed)
        findings.exactly("poison told", self._told(), len(self._poison))
        findings.spread("recovered", self._recovered, RECOVERY)
        findings.holds("queue empty", is_empty(self._arena.broker))

    def _ended(self) -> int:
        return len(self._producer.trace.ended())

    def _told(self) -> int:
        return Task.objects.filter(pk__in=self._poison, success=False).count()

    def _kill_worker(self) -> None:
        if self._ended():
            self._arena.kill(self._producer.trace.newest_pid())

    def _kill_supervisor(self) -> None:
        self._arena.kill(self._cluster.pid)
        self._cluster.wait()
        self._cluster = self._arena.cluster(**self._led)

    def _poison_workers(self) -> None:
        self._poison.append(async_task("tests.site.tasks.kill_self"))

    def _reset(self) -> None:
        self._network.reset()

    def _fall_silent(self) -> None:
        self._network.be_silent(SILENT)

    def _be_slow(self) -> None:
        self._network.be_late(LATENCY)
        time.sleep(SLOW)  # the fault: it lasts so long
        self._network.be_late(0.0)

    def _kill_server(self) -> None:
        connections.close_all()  # our own are not the subject
        server = self._arena.servers[0]
        server.kill()
        time.sleep(AWAY)  # the fault: it lasts so long
        server.restart()

    def _terminate_sessions(self) -> None:
        connections.close_all()
        url = self._arena.servers[-1].url
        statement = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND query LIKE '%django_q%'"
        )
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement)
