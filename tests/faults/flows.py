"""What follows and what waits for something: F35, F36, F39."""

import collections
import contextlib
import math
from pathlib import Path
from typing import Any

from django.contrib.auth.models import Group

from django_q.models import Delayed, Task
from django_q.tasks import async_chain, async_group, async_iter, async_tasks
from tests.cluster.ground import is_empty
from tests.cluster.trace import Trace
from tests.faults.arena import LONGEST, SHORTEST, Arena
from tests.faults.producer import Producer
from tests.faults.scenario import scenario
from tests.faults.systems import RECORD
from tests.waiting import wait_until

#: Links of the chain, parts of each group, elements of the iteration; and groups of a full run.
LINKS, PARTS, ELEMENTS, GROUPS = 200, 50, 1000, 200


@scenario("F35")
def many_tasks_fail_at_once(arena: Arena) -> None:
    """1,000 tasks fail at once with back-off: their retries are spread."""
    count, runs = arena.tasks // 5, 3
    arena.cluster()
    async_tasks("tests.site.flows.fail_at", [(arena.trace.path,)] * count, max_attempts=runs)
    failed = Task.objects.filter(func="tests.site.flows.fail_at", success=False)
    wait_until(lambda: failed.count() == count, 180, pause=0.2, what="all final failures")

    moments = collections.defaultdict(list)
    for attempt, moment in arena.trace.lines("start"):
        moments[attempt].append(float(moment))
    arena.findings.exactly("runs", sum(map(len, moments.values())), count * runs)
    for attempt in ("2", "3"):
        first = min(moments[attempt])
        seconds = collections.Counter(int(moment - first) for moment in moments[attempt])
        mean = count / math.ceil(max(moments[attempt]) - first)
        crowd = max(seconds.values()) / mean
        arena.findings.at_most(f"crowd of attempt {attempt} / mean", crowd, 3.0)
        span = max(moments[attempt]) - first
        # A tenth of 10 s and of 20 s is left to chance, beside what the first runs took.
        arena.findings.at_least(f"span of attempt {attempt}", span, 0.5, " s")


@scenario("F36")
def tasks_are_sent_in_transactions(arena: Arena) -> None:
    """Enqueue in a transaction that rolls back or commits, by producers that are killed as well."""
    Group.objects.all().delete()
    arena.cluster()
    kills = arena.times(30)
    with Producer(arena, 0.0, "commit", count=arena.tasks // 4) as first:
        wait_until(lambda: not first.is_running, 240, pause=0.1, what="the producer's end")
    sent, undone = len(first.accepted()), len(first.lines("undone"))
    for _ in range(kills):
        with Producer(arena, 0.0, "outbox") as producer:
            wanted = arena.random.randrange(20, 60)
            wait_until(
                lambda p=producer, n=wanted: len(p.lines("began")) > n, 60, pause=0.001, what="it"
            )
            producer.kill()  # the fault: at any moment, between commit and broker too
        sent, undone = sent + len(producer.accepted()), undone + len(producer.lines("undone"))

    committed = set(Group.objects.values_list("name", flat=True))
    with contextlib.suppress(AssertionError):  # what is missing is counted
        wait_until(lambda: set(first.trace.ended()) >= committed, 120, pause=0.2)
        broker = arena.broker
        wait_until(lambda: is_empty(broker) and not Delayed.objects.exists(), 30, pause=0.2)
    ended = first.trace.ended()
    arena.findings.at_least("sent", sent, 1)
    arena.findings.at_least("rolled back", undone, 1)
    arena.findings.exactly("committed and not run", len(committed - set(ended)), 0)
    arena.findings.exactly("rolled back and run", len(set(ended) - committed), 0)
    # A package of the outbox may be carried twice; it is not run again once it has its result.
    arena.findings.at_most("dup", ended.total() - len(ended), kills)
    arena.findings.exactly("left in the outbox", Delayed.objects.count(), 0)


@scenario("F39")
def workflows_go_on_while_workers_are_killed(arena: Arena) -> None:
    """Chain of 200, 200 groups of 50, iter of 1,000, while busy workers are killed."""
    cluster, kills = arena.cluster(), arena.times(50)
    wanted = _Wanted(arena, GROUPS * arena.tasks // 5000)
    total = LINKS + len(wanted.groups) * (PARTS + 1) + ELEMENTS
    killed = 0
    for n in range(1, kills + 1):
        goal = int(0.9 * total * n / kills)
        wait_until(lambda g=goal: len(arena.trace.ended()) >= g, 240, pause=0.05, what="progress")
        pid = arena.trace.newest_pid()
        if arena.kill(pid):
            killed += 1
            arena.replaced_in(cluster, pid)
    with contextlib.suppress(AssertionError):  # what is missing is counted
        wait_until(wanted.are_done, 240, pause=0.2)
        broker = arena.broker
        wait_until(lambda: is_empty(broker), 2 * arena.retry + 10, pause=0.2)

    started, ended = arena.trace.started(), arena.trace.ended()
    arena.findings.exactly("lost", total - len(ended), 0)
    arena.findings.at_most("dup", started.total() - len(started), killed)
    arena.findings.exactly("order", _is_in_order(arena.trace), True)
    wanted.compare()


class _Wanted:
    """The workflows that were sent, and what they must give."""

    def __init__(self, arena: Arena, groups: int) -> None:
        self._arena = arena
        self.chain = async_chain([(RECORD, self._call(f"link{n}")) for n in range(LINKS)])
        self.groups = {self._group(number): self._tokens(number) for number in range(groups)}
        elements = [self._call(f"element{n}") for n in range(ELEMENTS)]
        self.iteration = async_iter(RECORD, elements)

    def _call(self, token: str) -> tuple[Any, ...]:
        return (self._arena.trace.path, token, self._arena.random.uniform(SHORTEST, LONGEST))

    def _tokens(self, number: int) -> list[str]:
        return [f"part{number}-{n}" for n in range(PARTS)]

    def _group(self, number: int) -> str:
        calls = [(RECORD, self._call(token)) for token in self._tokens(number)]
        path = self._arena.trace.path
        callback = ("tests.site.flows.collect", (path, f"callback{number}"))
        return str(async_group(calls, callback=callback).callback_id)

    def are_done(self) -> bool:
        """Tell whether the last of each has its result."""
        ids = [*self.groups, self.iteration]
        is_chain_done = Task.objects.filter(group=self.chain, success=True).count() >= LINKS
        return is_chain_done and Task.objects.filter(pk__in=ids).count() == len(ids)

    def compare(self) -> None:
        """Note whether the results are what they must be."""
        findings = self._arena.findings
        findings.exactly("links", Task.objects.filter(group=self.chain, success=True).count(), 200)
        rows = Task.objects.in_bulk(list(self.groups))
        exact = sum(id in rows and rows[id].result == wanted for id, wanted in self.groups.items())
        findings.exactly("exact groups", exact, len(self.groups))
        row = Task.objects.filter(pk=self.iteration).first()
        wanted = [f"element{n}" for n in range(ELEMENTS)]
        findings.holds("iteration exact", row is not None and row.result == wanted)


def _is_in_order(trace: Trace) -> bool:
    """Tell whether each link began, for the first time, after the one before it had ended."""
    lines = Path(trace.path).read_text().splitlines()
    place: dict[tuple[str, str], int] = {}
    for number, (word, token, _) in enumerate(map(str.split, lines)):
        place.setdefault((word, token), number)
    links = [f"link{n}" for n in range(LINKS)]
    return all(
        place.get(("end", before), math.inf) < place.get(("start", after), -1)
        for before, after in zip(links, links[1:], strict=False)
    )
