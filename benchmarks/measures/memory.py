"""What a cluster needs of memory, whether it grows, and what its idling costs.

The first value is taken after a tenth of the tasks, the last after all of them. What idling costs
is wake-ups, and what one costs depends on the machine: where processors are shared with others,
and halted meanwhile, all is cold after it. So it is told how many there were, and what each costs a
process of Python that does nothing else.
"""

import dataclasses
import time

from benchmarks import processes
from benchmarks.figures import Figure, Options
from benchmarks.stage import Stage

TASKS = 20_000
CONCURRENCY = 0
SCALED = True
#: Seconds before an idle cluster is watched, in which pollers back off; less for a short look.
_REST = 5.0
#: In them this process wakes so often, with nothing to do.
_WAKES = 25
FIGURES = (
    Figure("first_pss_mb", "PSS MB", 1, more_is_better=False),
    Figure("pss_mb", "after 10 x the tasks", 1),
    Figure("growth_percent", "growth %", 1),
    Figure("processes", "procs"),
    Figure("idle_cpu_percent", "idle, %", 2, more_is_better=False),
    Figure("idle_wake_ups", "wake-ups/s", 1),
    Figure("idle_server_cpu_percent", "server, idle, %", 2),
    Figure("bare_wake_us", "bare wake-up, us"),
)


def cases(plain: Options) -> list[tuple[str, Options]]:
    """With as many workers as asked for; and twice as many, where only the first value is taken."""
    few, many = plain.workers, 2 * plain.workers
    return [
        (f"{few} workers", plain),
        (
            f"{many} workers",
            dataclasses.replace(plain, workers=many, tasks=plain.tasks // 10, is_short=True),
        ),
    ]


def run(stage: Stage, options: Options) -> dict[str, float]:
    """Run no-op tasks, look, run more, look again, then watch it idle."""
    stage.start()
    results = stage.ask("results") if stage.scene.stores else 0
    tenth = options.tasks if options.is_short else options.tasks // 10
    stage.ask("send_bulk", kind="noop", first=0, count=tenth)
    stage.settle(tenth, results)
    first = processes.pss(*stage.roots)
    figures = {"first_pss_mb": first, "processes": len(processes.tree(*stage.roots))}
    if options.is_short:
        return figures
    stage.ask("send_bulk", kind="noop", first=tenth, count=options.tasks - tenth)
    stage.settle(options.tasks, results)
    stage.prove(options.tasks)
    last = processes.pss(*stage.roots)
    return {
        **figures,
        "pss_mb": last,
        "growth_percent": 100 * (last / first - 1),
        **_idling(stage, options.idle),
    }


def _idling(stage: Stage, seconds: float) -> dict[str, float]:
    bare_wake_us = _bare_wake_us(min(_REST, seconds))
    groups = {"idle_cpu_percent": stage.roots, "idle_server_cpu_percent": stage.server}
    before = {name: processes.precise_cpu_seconds(*pids) for name, pids in groups.items()}
    wake_ups = processes.wake_ups(*stage.roots)
    began = time.perf_counter()
    time.sleep(seconds)
    took = time.perf_counter() - began
    percents = {
        name: 100 * (processes.precise_cpu_seconds(*pids) - before[name]) / took
        for name, pids in groups.items()
    }
    wake_ups = processes.wake_ups(*stage.roots) - wake_ups
    return {**percents, "idle_wake_ups": wake_ups / took, "bare_wake_us": bare_wake_us}


def _bare_wake_us(seconds: float) -> float:
    """Rest for so long, and give what each wake-up meanwhile has cost this process."""
    began = time.process_time()
    for _ in range(_WAKES):
        time.sleep(seconds / _WAKES)
    return (time.process_time() - began) / _WAKES * 1e6
