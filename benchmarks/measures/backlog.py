"""Whether many waiting tasks, or many old results, slow the workers down.

So many tasks are put into the queue, and the first of them are timed, until they are settled; where
fewer wait than are timed, it is done again until there are as many. Old results are a case of its
own.
"""

import dataclasses
import time

from benchmarks import processes
from benchmarks.figures import CPU, REPEATED, SERVER, SETTLED, Figure, Options
from benchmarks.stage import Stage

#: Tasks that are timed.
TASKS = 20_000
CONCURRENCY = 0
#: A case is compared with the first of the same peer, not with ours.
COMPARES_CASES = True
_SIZES = (1_000, 100_000, 1_000_000)
FIGURES = (
    SETTLED,
    CPU,
    SERVER,
    Figure("filled_per_second", "enqueued in bulk/s"),
    REPEATED,
)


def cases(plain: Options) -> list[tuple[str, Options]]:
    """One for each size of the backlog, and one with old results."""
    fresh = dataclasses.replace(plain, old_results=0)
    found = [
        (f"{size:,} waiting", dataclasses.replace(fresh, backlog=size))
        for size in plain.sizes or _SIZES
    ]
    if plain.old_results:
        old = dataclasses.replace(plain, backlog=plain.tasks)
        found.append((f"{plain.tasks:,} waiting, {plain.old_results:,} old results", old))
    return found


def run(stage: Stage, options: Options) -> dict[str, float]:
    """Fill and run, once or several times."""
    if options.old_results:
        stage.ask("old_results", count=options.old_results)
    stage.start()
    results = stage.ask("results") if stage.scene.stores else 0
    rounds = max(1, options.tasks // options.backlog)
    timed = min(options.tasks, options.backlog)
    took = filled = cpu = server = 0.0
    for number in range(rounds):
        stage.pause()
        first = number * options.backlog
        filled += stage.ask("send_bulk", kind="noop", first=first, count=options.backlog)["took"]
        cpu -= processes.cpu_seconds(*stage.roots)
        server -= processes.cpu_seconds(*stage.server)
        took -= time.perf_counter()
        stage.go()
        stage.settle_first(first + timed, left=options.backlog - timed)
        took += time.perf_counter()
        cpu += processes.cpu_seconds(*stage.roots)
        server += processes.cpu_seconds(*stage.server)
    if stage.scene.stores:
        # Not by the clock: among a million old ones it takes a while to count them.
        stage.wait(lambda: stage.ask("results") - results >= rounds * timed, "its results")
    marks = [mark.number for mark in stage.marks()]
    return {
        "settled_per_second": rounds * timed / took,
        "cpu_us_per_task": cpu / (rounds * timed) * 1e6,
        "server_cpu_us_per_task": server / (rounds * timed) * 1e6,
        "filled_per_second": rounds * options.backlog / filled,
        "repeated": len(marks) - len(set(marks)),
    }
