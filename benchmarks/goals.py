"""What we want to reach, held against what the files of the documentation say.

Each goal is a number that is reckoned from one or two reports, and a bound for it. Called by the
documentation and by nobody else; a report that is not there makes a goal that was not measured.
"""

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.catalogue import BROKERS

Report = dict[str, Any]
_NAMES = {"redis": "Redis", "postgres": "PostgreSQL", "sqlite": "SQLite"}


@dataclasses.dataclass(frozen=True)
class Goal:
    """One bound: `title` says what is measured; `value` is None where nothing was."""

    title: str
    bound: float
    is_least: bool
    value: float | None
    unit: str = ""
    digits: int = 2

    @property
    def is_reached(self) -> bool | None:
        """Whether it is; None where it was not measured."""
        if self.value is None:
            return None
        return self.value >= self.bound if self.is_least else self.value <= self.bound

    def cells(self) -> list[str]:
        """What, wanted, measured, reached: a line of the table."""
        wanted = f"{'at least' if self.is_least else 'at most'} {self.bound:g}{self.unit}"
        measured = "-" if self.value is None else f"{self.value:,.{self.digits}f}{self.unit}"
        told = {True: "yes", False: "no", None: "not measured"}[self.is_reached]
        return [self.title, wanted, measured, told]


HEAD = ["what", "wanted", "measured", "reached"]


class Reports:
    """The files of a folder, by measure and broker."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def median(
        self, measure: str, broker: str, name: str, *, entry: str = "ours", case: str | None = None
    ) -> float | None:
        """A median of the first case of an entry, or of the case that begins so."""
        for row in self.rows(measure, broker):
            if row["entry"] == entry and (case is None or row["case"].startswith(case)):
                found: float | None = row["median"].get(name)
                return found
        return None

    def rows(self, measure: str, broker: str) -> list[dict[str, Any]]:
        """The rows of a report; none where it was not made."""
        path = self._folder / f"{measure}-{broker}.json"
        if not path.exists():
            return []
        rows: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["rows"]
        return rows

    def best_peer(
        self, measure: str, broker: str, name: str, best: Callable[..., float] = max
    ) -> float | None:
        """The best median of all that are not ours, nor redis-py alone."""
        found = [
            row["median"][name]
            for row in self.rows(measure, broker)
            if name in row["median"] and row["entry"].partition(":")[0] not in ("ours", "bare")
        ]
        return best(found) if found else None


def goals(folder: Path) -> Iterator[Goal]:
    """All of them, in the order of the documentation."""
    reports = Reports(folder)
    yield from _drains(reports)
    for broker in BROKERS:
        yield from _enqueueing(reports, broker)
    for broker in BROKERS:
        yield from _latency(reports, broker)
    yield Goal(
        "CPU-bound tasks of 10 ms, time against two bare processes",
        1.05,
        False,
        reports.median("cpu", "redis", "against_bare"),
        digits=3,
    )
    for broker in BROKERS:
        yield from _backlogs(reports, broker)
    for broker in BROKERS:
        yield from _memory(reports, broker)


def _drains(reports: Reports) -> Iterator[Goal]:
    speed = "settled_per_second"
    for broker, peer, what, bound in (
        ("redis", "django-q2", "django-q2 (saved)", 15),
        ("redis", "huey", "huey (results)", 6),
        ("redis", "dramatiq:bare", "dramatiq (which stores nothing)", 4),
        ("postgres", "pgqueuer", "pgqueuer (which stores no results)", 1.5),
        ("postgres", "procrastinate", "procrastinate", 30),
        ("sqlite", "huey", "huey (its default)", 7),
        ("sqlite", "huey:loose", "huey (which syncs nothing)", 7),
    ):
        ours = reports.median("drain", broker, speed)
        theirs = reports.median("drain", broker, speed, entry=peer)
        title = f"{_NAMES[broker]}, waiting tasks, results saved: settled, against {what}"
        yield Goal(title, bound, True, _ratio(ours, theirs), " times", 1)
    for entry, what, bound in (("ours", "saved", 80), ("ours:bare", "not saved", 50)):
        cost = reports.median("drain", "redis", "workers_cpu_us_per_task", entry=entry)
        title = f"Redis, waiting tasks, results {what}: CPU time of the workers for one"
        yield Goal(title, bound, False, cost, " us", 1)


def _enqueueing(reports: Reports, broker: str) -> Iterator[Goal]:
    one = "one_at_a_time_per_second"
    best = reports.best_peer("enqueue", broker, one)
    each, bulk = (reports.median("enqueue", broker, name) for name in (one, "bulk_per_second"))
    title = f"{_NAMES[broker]}: enqueued"
    peer = "against the best peer one at a time"
    yield Goal(f"{title} one at a time, {peer}", 2, True, _ratio(each, best), " times")
    yield Goal(f"{title} in bulk, {peer}", 10, True, _ratio(bulk, best), " times", 1)


def _latency(reports: Reports, broker: str) -> Iterator[Goal]:
    best = reports.best_peer("latency", broker, "p50_ms", min)
    middle, last = (reports.median("latency", broker, name) for name in ("p50_ms", "p99_ms"))
    title = f"{_NAMES[broker]}, idle: enqueue call to start"
    yield Goal(f"{title}, p50 against the best peer's", 1, False, _ratio(middle, best), " times")
    if broker != "redis":
        bound = {"postgres": 3, "sqlite": 15}[broker]
        yield Goal(f"{title}, p50", bound, False, middle, " ms")
    yield Goal(f"{title}, p99 against p50", 10, False, _ratio(last, middle), " times", 1)


def _backlogs(reports: Reports, broker: str) -> Iterator[Goal]:
    speeds = [
        (row["case"], row["median"].get("settled_per_second"))
        for row in reports.rows("backlog", broker)
    ] or [("1,000,000 waiting", None)]
    for case, speed in speeds[1:] or speeds:
        title = f"{_NAMES[broker]}, {case}: throughput of the smallest backlog against it"
        yield Goal(title, 1.25, False, _ratio(speeds[0][1], speed), " times")


def _memory(reports: Reports, broker: str) -> Iterator[Goal]:
    name = _NAMES[broker]
    ours = reports.median("drain", broker, "pss_mb")
    best = reports.best_peer("drain", broker, "pss_mb", min)
    title = f"{name}: memory of the whole tree, two workers, against the smallest peer"
    yield Goal(title, 1, False, _ratio(ours, best), " times")
    few, many = (
        reports.median("memory", broker, "first_pss_mb", case=case) for case in ("2 ", "4 ")
    )
    more = None if few is None or many is None else (many - few) / 2
    yield Goal(f"{name}: memory of each further worker", 17, False, more, " MB", 1)
    growth = reports.median("memory", broker, "growth_percent")
    title = f"{name}: growth of memory from 20,000 tasks to 200,000"
    yield Goal(title, 5, False, growth, " %", 1)
    idle = reports.median("memory", broker, "idle_cpu_percent")
    bound = 2 if broker == "sqlite" else 0.5
    yield Goal(f"{name}: CPU time of an idle cluster", bound, False, idle, " % of a core")


def _ratio(value: float | None, base: float | None) -> float | None:
    return value / base if value is not None and base else None
