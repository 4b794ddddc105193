"""How fast waiting no-op tasks are settled, and what that costs."""

import time

from benchmarks import processes
from benchmarks.figures import CPU, MEMORY, REPEATED, SERVER, SETTLED, WORKERS_CPU, Options
from benchmarks.stage import Stage

TASKS = 20_000
CONCURRENCY = 0
SCALED = True
FIGURES = (SETTLED, CPU, WORKERS_CPU, SERVER, MEMORY, REPEATED)


def run(stage: Stage, options: Options) -> dict[str, float]:
    """Fill the queue while the workers are stopped, then let them go until all is settled."""
    stage.start()
    results = stage.ask("results") if stage.scene.stores else 0
    stage.pause()
    words = {"kind": options.kind, "first": 0, "payload": options.payload}
    filled = stage.ask("send_bulk", count=options.tasks, **words)["took"]
    groups = {
        "cpu_us_per_task": stage.roots,
        "workers_cpu_us_per_task": stage.workers,
        "server_cpu_us_per_task": stage.server,
    }
    before = {name: processes.cpu_seconds(*pids) for name, pids in groups.items()}
    began = time.perf_counter()
    stage.go()
    stage.settle(options.tasks, results)
    took = time.perf_counter() - began
    costs = {name: processes.cpu_seconds(*pids) - before[name] for name, pids in groups.items()}
    return {
        "settled_per_second": options.tasks / took,
        **{name: cost / options.tasks * 1e6 for name, cost in costs.items()},
        "pss_mb": processes.pss(*stage.roots),
        "filled_per_second": options.tasks / filled,
        **stage.prove(options.tasks),
    }
