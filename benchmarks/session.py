"""One measurement: its peers in turns on one server, and the report that comes of it."""

import argparse
import dataclasses
import importlib
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from benchmarks import environments, pace, report
from benchmarks.catalogue import Entry
from benchmarks.figures import Options
from benchmarks.ground import Ground, ground
from benchmarks.stage import RunFailed, stage
from benchmarks.tasks import turn

#: Seconds of CPU that a task of `cpu` takes.
_SPIN = 0.01
#: Runs of those that are named by --seldom.
_SELDOM = 2
#: Failed runs after which an entry is left out: a peer that hangs takes a minute each time.
_FAILURES = 2
#: The least tasks of a run, however slow the peer is.
_LEAST = 100


class Session:
    """One measure on one broker. `deadline`, of `time.monotonic`, ends it after a whole round."""

    def __init__(
        self, options: argparse.Namespace, entries: list[Entry], deadline: float = float("inf")
    ) -> None:
        self._options = options
        self._entries = entries
        self._deadline = deadline
        self._measure: ModuleType = importlib.import_module(
            f"benchmarks.measures.{options.measure}"
        )
        self._cases = _cases(self._measure, options)
        self._seldom = set(filter(None, options.seldom.split(",")))

    def measured(self) -> dict[str, Any]:
        """Run all, and tell what came of it."""
        began = time.monotonic()
        on = report.machine()
        runs: dict[tuple[str, str], list[report.Run]] = {
            (str(each), case): [] for each in self._entries for case, _ in self._cases
        }
        with ground(self._options.broker) as place:
            for which, run in self._runs(place):
                runs[which].append(run)
            server = place.version()
        rows = [
            report.row(str(each), case, self._about(each, asked), runs[str(each), case])
            for each in self._entries
            for case, asked in self._cases
        ]
        by_case = hasattr(self._measure, "COMPARES_CASES")
        report.add_ratios(rows, self._measure.FIGURES, by_case)
        return {
            "measure": self._options.measure,
            "broker": self._options.broker,
            "command": command(self._options),
            "machine": on,
            "server": server,
            "keeps": place.keeps,
            "repeat": self._options.repeat,
            "workers": self._options.workers,
            "seconds": round(time.monotonic() - began),
            "compared_with": "the first case is better" if by_case else "ours is better",
            "figures": [dataclasses.asdict(figure) for figure in self._measure.FIGURES],
            "rows": rows,
        }

    def _runs(self, place: Ground) -> Iterator[tuple[tuple[str, str], report.Run]]:
        """All runs, the peers in turns: what else the machine does hits all of them."""
        turns = _turns_of_a_spin()
        failures: Counter[tuple[str, str]] = Counter()
        for number in range(1, self._options.repeat + 1):
            if number > 1 and time.monotonic() > self._deadline:
                print(f"The time is over before round {number}.", file=sys.stderr)
                return
            for case, asked in self._cases:
                for each in self._entries:
                    which = (str(each), case)
                    if failures[which] >= _FAILURES:
                        continue
                    if number > _SELDOM and str(each) in self._seldom:
                        continue
                    try:
                        run = self._run(each, place, asked, turns)
                    except RunFailed as error:
                        failures[which] += 1
                        print(f"run {number} {each} {case}: {error}", file=sys.stderr)
                        continue
                    _tell(number, each, case, run)
                    yield which, run

    def _run(self, each: Entry, place: Ground, asked: Options, turns: int) -> report.Run:
        here = dataclasses.replace(asked, tasks=self._tasks(each, asked))
        before = pace.loop_ms()
        with stage(each, place, asked.workers, self._measure.CONCURRENCY, turns) as made:
            run: report.Run = self._measure.run(made, here)
        return {**run, pace.BEFORE: before, pace.AFTER: pace.loop_ms()}

    def _tasks(self, each: Entry, asked: Options) -> int:
        """How many a peer runs: as many times fewer as it is slower, where it is the pace."""
        if not hasattr(self._measure, "SCALED"):
            return asked.tasks
        return max(min(asked.tasks, _LEAST), asked.tasks // each.slowness)

    def _about(self, each: Entry, asked: Options) -> dict[str, Any]:
        return {
            "version": environments.version_of(each.peer) or "",
            "stores": each.stores,
            "tasks": self._tasks(each, asked),
            "workers": asked.workers,
            "kind": asked.kind,
        }


def command(options: argparse.Namespace) -> str:
    """What one types to measure the same again."""
    words = ["python", "-m", "benchmarks", options.measure, "--broker", options.broker]
    words += ["--peers", options.peers, "--repeat", str(options.repeat)]
    for name in ("seldom", "tasks", "payload", "backlog", "old_results"):
        if (value := getattr(options, name)) not in (None, 0, ""):
            words += [f"--{name.replace('_', '-')}", str(value)]
    if options.workers != 2:
        words += ["--workers", str(options.workers)]
    return shlex.join(words)


def _cases(measure: ModuleType, options: argparse.Namespace) -> list[tuple[str, Options]]:
    """What each peer is asked for in turn; only one thing, without a name, for most measures."""
    payloads = tuple(int(size) for size in options.payload.split(",") if size)
    plain = Options(
        tasks=options.tasks or measure.TASKS,
        workers=options.workers,
        payloads=payloads,
        sizes=tuple(int(size) for size in options.backlog.split(",") if size),
        old_results=options.old_results,
        idle=options.idle,
    )
    if hasattr(measure, "cases"):
        cases: list[tuple[str, Options]] = measure.cases(plain)
        return cases
    return [
        (f"{size:,} bytes" if size else "", dataclasses.replace(plain, payload=size))
        for size in payloads or (0,)
    ]


def _tell(number: int, each: Entry, case: str, run: report.Run) -> None:
    words = ", ".join(f"{name} {value:,.1f}" for name, value in run.items())
    print(f"run {number} {each} {case}: {words}", file=sys.stderr)


def _turns_of_a_spin() -> int:
    tried = 200_000
    times = []
    for _ in range(5):
        began = time.process_time()
        turn(tried)
        times.append(time.process_time() - began)
    return int(tried * _SPIN / min(times))
