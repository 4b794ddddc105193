"""The command line: `python -m benchmarks --help`."""

import argparse
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import environments, plan, report
from benchmarks.catalogue import BROKERS, PEERS, Entry, entry
from benchmarks.figures import CPU
from benchmarks.session import Session, command

MEASURES = (
    "drain",
    "enqueue",
    "latency",
    "io",
    "cpu",
    "memory",
    "backlog",
    "payload",
    "growth",
)
#: What else can be asked for.
_OTHERS = ("all", "render", "environments")
_WHAT = "what to measure; or all that the docs show, show files, make the environments of all peers"


def main(words: list[str] | None = None) -> None:
    """Measure as the command line says."""
    options = arguments(words)
    if options.list:
        _list()
    elif options.measure == "render":
        for path in options.files:
            _show(json.loads(Path(path).read_text()), options)
    elif options.measure == "environments":
        for peer in PEERS.values():
            print(f"{peer.name:16} {environments.python_of(peer)}")
        print(f"{'(plots)':16} {environments.python_that_plots()}")
    elif options.measure == "all":
        _all(options)
    else:
        made = Session(options, _entries(options)).measured()
        _show(made, options)
        _judge(made, options.limit)


def arguments(words: list[str] | None) -> argparse.Namespace:
    """What the command line asks for; it ends the program where that means nothing."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure Django Q, and other task queues beside it in the same run.",
    )
    add = parser.add_argument
    add("measure", nargs="?", choices=(*MEASURES, *_OTHERS), help=_WHAT)
    add("files", nargs="*", help="with render: what --json has written")
    add("--list", action="store_true", help="show the peers, their brokers, versions and variants")
    add("--peers", default="ours", help="names as in --list, with commas between (default: ours)")
    add("--broker", choices=BROKERS, default="redis")
    add("--tasks", type=int, help="how many in a run; in a drain slow peers get a fraction")
    add("--repeat", type=int, default=5, help="runs of each peer, in turns (default: 5)")
    add("--seldom", default="", help="those of --peers that are run in the first two turns only")
    add("--workers", type=int, default=2, help="worker processes (default: 2)")
    add("--payload", default="", help="bytes of argument for each task; several, with commas")
    add("--backlog", default="", help="with backlog: how many tasks wait; several, with commas")
    add("--old-results", type=int, default=0, help="with backlog: rows that are stored before")
    add("--idle", type=float, default=30, help="with memory: seconds an idle cluster is watched")
    add("--limit", type=float, help="fail when a task of ours costs more microseconds of CPU")
    add("--json", help="write all figures to this file")
    add("--markdown", help="write the table to this file as well")
    add("--plots", help="draw into this folder, by matplotlib in an environment of its own")
    add("--out", default="docs/benchmarks", help="with all: the folder of the files")
    add("--budget", type=float, default=35, help="with all: minutes (default: 35)")
    add("--resume", action="store_true", help="with all: keep what is there of the same command")
    add("--small", action="store_true", help="with all: few tasks, one run; shows that all work")
    add("--only", default="", help="with all: only files whose name has this in it")
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


def _all(options: argparse.Namespace) -> None:
    """Measure one after another of `plan.JOBS`, the most telling first, until the time is over.

    Each is written as soon as it is done, so that a run that was cut short can be resumed; the
    pictures are drawn in the end.
    """
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    deadline = began + options.budget * 60
    for job in plan.JOBS:
        if options.only not in job.name:
            continue
        asked = arguments([*job.words, *(job.small if options.small else ())])
        asked.idle = options.idle
        path = folder / f"{job.name}.json"
        if options.resume and path.exists():
            if json.loads(path.read_text())["command"] == command(asked):
                print(f"{job.name}: is there.", file=sys.stderr)
                continue
        if time.monotonic() > deadline:
            print(f"{job.name}: not measured, the time is over.", file=sys.stderr)
            continue
        try:
            made = Session(asked, _entries(asked), deadline).measured()
        except (SystemExit, OSError) as error:
            print(f"{job.name}: {error}", file=sys.stderr)
            continue
        path.write_text(json.dumps(made, indent=1) + "\n")
        print(report.markdown(made), flush=True)
        minutes = (time.monotonic() - began) / 60
        print(f"{job.name} took {made['seconds']} s; {minutes:.1f} min so far.", file=sys.stderr)
    if not options.small:
        for path in folder.glob("*.json"):
            _plot(json.loads(path.read_text()), str(folder))


def _show(made: dict[str, Any], options: argparse.Namespace) -> None:
    text = report.markdown(made)
    print(text)
    if options.markdown:
        with open(options.markdown, "a") as file:
            file.write(text + "\n")
    if options.json:
        Path(options.json).write_text(json.dumps(made, indent=1) + "\n")
    if options.plots:
        _plot(made, options.plots)


def _plot(made: dict[str, Any], folder: str) -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    script = Path(__file__).with_name("plots.py")
    words = [environments.python_that_plots(), str(script), folder]
    subprocess.run(words, input=json.dumps(made), text=True, check=True)  # noqa: S603


def _judge(made: dict[str, Any], limit: float | None) -> None:
    failed = [row["entry"] for row in made["rows"] if not row["runs"]]
    if failed:
        raise SystemExit(f"No run succeeded of: {', '.join(failed)}.")
    for row in made["rows"]:
        cost = row["median"].get(CPU.name, 0)
        if limit is not None and row["entry"] == "ours" and cost > limit:
            raise SystemExit(f"{cost:.1f} us of CPU a task is above the limit of {limit:g}.")


if __name__ == "__main__":
    # An end in order, which takes the workers along; `all` must not take it for a failed job.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("Stopped.") from None
