"""How fast waiting no-op tasks are settled, and what that costs."""

import time

from benchmarks import processes
from benchmarks.figures import CPU, MEMORY, REPEATED, SERVER, SETTLED, Options
from benchmarks.stage import Stage

TASKS = 20_000
CONCURRENCY = 0
FIGURES = (SETTLED, CPU, SERVER, MEMORY, REPEATED)


def run(stage: Stage, options: Options, kind: str = "noop") -> dict[str, float]:
    """Fill the queue while the workers are stopped, then let them go until all is settled."""
    stage.start()
    results = stage.ask("results") if stage.scene.stores else 0
    stage.pause()
    stage.ask("send_bulk", kind=kind, first=0, count=options.tasks, payload=options.payload)
    cpu, server = processes.cpu_seconds(*stage.roots), processes.cpu_seconds(*stage.server)
    began = time.perf_counter()
    stage.go()
    stage.settle(options.tasks, results)
    took = time.perf_counter() - began
    cpu = processes.cpu_seconds(*stage.roots) - cpu
    server = processes.cpu_seconds(*stage.server) - server
    return {
        "settled_per_second": options.tasks / took,
        "cpu_us_per_task": cpu / options.tasks * 1e6,
        "server_cpu_us_per_task": server / options.tasks * 1e6,
        "pss_mb": processes.pss(*stage.roots),
        **stage.prove(options.tasks),
    }
