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
    """The peer, as `drain`, between two turns of the bare processes."""
    before = _bare_seconds(stage, options)
    figures = drain.run(stage, dataclasses.replace(options, kind="spin"))
    stage.pause()
    bare = (before + _bare_seconds(stage, options)) / 2
    took = options.tasks / figures["settled_per_second"]
    return {**figures, "bare_seconds": bare, "against_bare": took / bare}


def _bare_seconds(stage: Stage, options: Options) -> float:
    stage.forget_marks()
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
    # Looked at as often as the peers are: that takes a hundredth of the processor.
    stage.wait(lambda: all(process.poll() is not None for process in started), "bare processes")
    took = time.perf_counter() - began
    stage.prove(share * options.workers)
    stage.forget_marks()
    return took * options.tasks / (share * options.workers)
