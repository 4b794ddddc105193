"""How close tasks of 10 ms of CPU come to bare processes that run the same functions in a loop."""

import dataclasses
import os
import signal
import time

from benchmarks import processes
from benchmarks.figures import CPU, Figure, Options
from benchmarks.measures import drain
from benchmarks.stage import Stage

TASKS = 1_000
CONCURRENCY = 0
FIGURES = (
    Figure("against_bare", "time against bare processes", 3, more_is_better=False),
    Figure("bare_seconds", "bare s", 2),
    Figure("settled_per_second", "settled/s"),
    CPU,
)


def run(stage: Stage, options: Options) -> dict[str, float]:
    """First the bare processes, then the peer, as `drain`."""
    bare = _bare_seconds(stage, options)
    stage.forget_marks()
    figures = drain.run(stage, dataclasses.replace(options, kind="spin"))
    took = options.tasks / figures["settled_per_second"]
    return {**figures, "bare_seconds": bare, "against_bare": took / bare}


def _bare_seconds(stage: Stage, options: Options) -> float:
    share = options.tasks // options.workers
    started = [
        stage.launch(["benchmarks.spinner", str(number * share), str(share)])
        for number in range(options.workers)
    ]
    pids = [process.pid for process in started]
    stage.wait(lambda: processes.are_stopped(pids), "bare processes")
    began = time.perf_counter()
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    for process in started:
        process.wait()
    took = time.perf_counter() - began
    stage.prove(share * options.workers)
    return took * options.tasks / (share * options.workers)
