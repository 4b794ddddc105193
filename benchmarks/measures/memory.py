"""What a cluster needs of memory with two workers and with four, whether it grows, and its idling.

The first value is taken after a tenth of the tasks, the second after all of them.
"""

import dataclasses
import time

from benchmarks import processes
from benchmarks.figures import Figure, Options
from benchmarks.stage import Stage

TASKS = 20_000
CONCURRENCY = 0
#: Seconds for which an idle cluster is watched.
_IDLE = 10.0
FIGURES = (
    Figure("pss_mb", "PSS MB", 1, more_is_better=False),
    Figure("first_pss_mb", "PSS MB after a tenth", 1),
    Figure("growth_percent", "growth %", 1),
    Figure("processes", "processes"),
    Figure("idle_cpu_percent", "idle: % of a core", 2, more_is_better=False),
    Figure("idle_server_cpu_percent", "server, idle: % of a core", 2),
)


def cases(plain: Options) -> list[tuple[str, Options]]:
    """With as many workers as asked for, and with twice as many."""
    counts = (plain.workers, 2 * plain.workers)
    return [(f"{count} workers", dataclasses.replace(plain, workers=count)) for count in counts]


def run(stage: Stage, options: Options) -> dict[str, float]:
    """Run no-op tasks, look, run more, look again, then watch it idle."""
    stage.start()
    results = stage.ask("results") if stage.scene.stores else 0
    tenth = options.tasks // 10
    stage.ask("send_bulk", kind="noop", first=0, count=tenth)
    stage.settle(tenth, results)
    first = processes.pss(*stage.roots)
    stage.ask("send_bulk", kind="noop", first=tenth, count=options.tasks - tenth)
    stage.settle(options.tasks, results)
    stage.prove(options.tasks)
    last = processes.pss(*stage.roots)
    return {
        "pss_mb": last,
        "first_pss_mb": first,
        "growth_percent": 100 * (last / first - 1),
        "processes": len(processes.tree(*stage.roots)),
        **_idling(stage),
    }


def _idling(stage: Stage) -> dict[str, float]:
    cpu, server = processes.cpu_seconds(*stage.roots), processes.cpu_seconds(*stage.server)
    began = time.perf_counter()
    time.sleep(_IDLE)
    took = time.perf_counter() - began
    cpu = processes.cpu_seconds(*stage.roots) - cpu
    server = processes.cpu_seconds(*stage.server) - server
    return {
        "idle_cpu_percent": 100 * cpu / took,
        "idle_server_cpu_percent": 100 * server / took,
    }
