"""The command line: `python -m benchmarks --help`."""

import argparse
import dataclasses
import importlib
import json
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks import environments, report
from benchmarks.catalogue import PEERS, Entry, entry
from benchmarks.figures import CPU, Options
from benchmarks.ground import BROKERS, Ground, ground
from benchmarks.stage import RunFailed, stage
from benchmarks.tasks import turn

MEASURES = ("drain", "enqueue", "latency", "io", "cpu", "memory", "backlog")
#: Seconds of CPU that a task of `cpu` takes.
_SPIN = 0.01


def main(words: list[str] | None = None) -> None:
    """Measure as the command line says."""
    options = _arguments(words)
    if options.list:
        _list()
        return
    if options.measure == "render":
        for path in options.files:
            _show(json.loads(Path(path).read_text()), options)
        return
    entries = _entries(options)
    measure = importlib.import_module(f"benchmarks.measures.{options.measure}")
    made = _measure(measure, entries, options)
    _show(made, options)
    _judge(made, options.limit)


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure Django Q, and other task queues beside it in the same run.",
    )
    add = parser.add_argument
    add("measure", nargs="?", choices=(*MEASURES, "render"), help="what to measure; or show files")
    add("files", nargs="*", help="with render: what --json has written")
    add("--list", action="store_true", help="show the peers, their brokers, versions and variants")
    add("--peers", default="ours", help="names as in --list, with commas between (default: ours)")
    add("--broker", choices=BROKERS, default="redis")
    add("--tasks", type=int, help="how many in a run; slow peers get a fraction")
    add("--repeat", type=int, default=5, help="runs of each peer, in turns (default: 5)")
    add("--workers", type=int, default=2, help="worker processes (default: 2)")
    add("--payload", default="0", help="bytes of argument for each task; several, with commas")
    add("--backlog", default="", help="with backlog: how many tasks wait; several, with commas")
    add("--old-results", type=int, default=0, help="with backlog: rows that are stored before")
    add("--limit", type=float, help="fail when a task of ours costs more microseconds of CPU")
    add("--json", help="write all figures to this file")
    add("--markdown", help="write the table to this file as well")
    add("--plots", help="draw into this folder, by matplotlib in an environment of its own")
    options = parser.parse_args(words)
    if not options.list and options.measure is None:
        parser.error(f"say what to measure: {', '.join(MEASURES)}")
    if options.files and options.measure != "render":
        parser.error("files are for render")
    return options


def _list() -> None:
    for peer in PEERS.values():
        version = environments.version_of(peer) or "not installed yet"
        print(f"{peer.name:16} {version:18} {', '.join(peer.brokers)}")
        for variant, stores in peer.variants.items():
            print(f"    {entry(f'{peer.name}:{variant}')!s:20} stores: {stores}")


def _entries(options: argparse.Namespace) -> list[Entry]:
    try:
        entries = [entry(name) for name in options.peers.split(",")]
    except ValueError as error:
        raise SystemExit(str(error)) from error
    for each in entries:
        if options.broker not in each.peer.brokers:
            raise SystemExit(
                f"{each.peer.name} cannot work on {options.broker}, only on"
                f" {', '.join(each.peer.brokers)}. Leave it out of --peers."
            )
        environments.python_of(each.peer)
    return entries


def _cases(measure: ModuleType, options: argparse.Namespace) -> list[tuple[str, Options]]:
    """What each peer is asked for in turn; only one thing, without a name, for most measures."""
    plain = Options(
        tasks=options.tasks or measure.TASKS,
        workers=options.workers,
        sizes=tuple(int(size) for size in options.backlog.split(",") if size),
        old_results=options.old_results,
    )
    if hasattr(measure, "cases"):
        cases: list[tuple[str, Options]] = measure.cases(plain)
        return cases
    return [
        (f"{size:,} bytes" if size else "", dataclasses.replace(plain, payload=size))
        for size in map(int, options.payload.split(","))
    ]


def _measure(
    measure: ModuleType, entries: list[Entry], options: argparse.Namespace
) -> dict[str, Any]:
    cases = _cases(measure, options)
    on = report.machine()
    by_case = hasattr(measure, "COMPARES_CASES")
    runs: dict[tuple[str, str], list[report.Run]] = {
        (str(each), case): [] for each in entries for case, _ in cases
    }
    with ground(options.broker) as place:
        for which, run in _runs(measure, entries, cases, place, options.repeat):
            runs[which].append(run)
        server = place.version()
    rows = [
        report.row(str(each), case, _about(each, asked), runs[str(each), case])
        for each in entries
        for case, asked in cases
    ]
    report.add_ratios(rows, measure.FIGURES, by_case)
    return {
        "measure": options.measure,
        "broker": options.broker,
        "command": _command(options),
        "machine": on,
        "server": server,
        "repeat": options.repeat,
        "workers": options.workers,
        "compared_with": "the first case is better" if by_case else "ours is better",
        "figures": [dataclasses.asdict(figure) for figure in measure.FIGURES],
        "rows": rows,
    }


def _runs(
    measure: ModuleType,
    entries: list[Entry],
    cases: list[tuple[str, Options]],
    place: Ground,
    repeat: int,
) -> Iterator[tuple[tuple[str, str], report.Run]]:
    """All runs, the peers in turns: what else the machine does hits all of them."""
    turns = _turns_of_a_spin()
    for number in range(1, repeat + 1):
        for case, asked in cases:
            for each in entries:
                asked_here = dataclasses.replace(asked, tasks=asked.tasks // each.peer.slowness)
                try:
                    with stage(each, place, asked.workers, measure.CONCURRENCY, turns) as made:
                        run = measure.run(made, asked_here)
                except RunFailed as error:
                    print(f"run {number} {each} {case}: {error}", file=sys.stderr)
                    continue
                _tell(number, each, case, run)
                yield (str(each), case), run


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


def _about(each: Entry, asked: Options) -> dict[str, Any]:
    return {
        "version": environments.version_of(each.peer) or "",
        "stores": each.stores,
        "tasks": asked.tasks // each.peer.slowness,
    }


def _command(options: argparse.Namespace) -> str:
    words = ["python", "-m", "benchmarks", options.measure, "--broker", options.broker]
    words += ["--peers", options.peers, "--repeat", str(options.repeat)]
    for name in ("tasks", "payload", "backlog", "old_results"):
        if (value := getattr(options, name)) not in (None, 0, "0", ""):
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)


def _show(made: dict[str, Any], options: argparse.Namespace) -> None:
    text = report.markdown(made)
    print(text)
    if options.markdown:
        with open(options.markdown, "a") as file:
            file.write(text + "\n")
    if options.json:
        Path(options.json).write_text(json.dumps(made, indent=1) + "\n")
    if options.plots:
        Path(options.plots).mkdir(parents=True, exist_ok=True)
        script = Path(__file__).with_name("plots.py")
        subprocess.run(  # noqa: S603
            [environments.python_that_plots(), str(script), options.plots],
            input=json.dumps(made),
            text=True,
            check=True,
        )


def _judge(made: dict[str, Any], limit: float | None) -> None:
    failed = [row["entry"] for row in made["rows"] if not row["runs"]]
    if failed:
        raise SystemExit(f"No run succeeded of: {', '.join(failed)}.")
    for row in made["rows"]:
        cost = row["median"].get(CPU.name, 0)
        if limit is not None and row["entry"] == "ours" and cost > limit:
            raise SystemExit(f"{cost:.1f} us of CPU a task is above the limit of {limit:g}.")


if __name__ == "__main__":
    # An end in order, which takes the workers along.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))
    main()
