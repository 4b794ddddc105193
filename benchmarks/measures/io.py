"""How fast tasks of 50 ms that only wait are settled, up to 100 of them side by side."""

import dataclasses

from benchmarks.figures import CPU, MEMORY, REPEATED, SERVER, SETTLED, Options
from benchmarks.measures import drain
from benchmarks.stage import Stage

TASKS = 2_000
#: A worker's threads or coroutines, for all peers that have either.
CONCURRENCY = 50
FIGURES = (SETTLED, CPU, SERVER, MEMORY, REPEATED)


def run(stage: Stage, options: Options) -> dict[str, float]:
    """As `drain`, with tasks that wait."""
    return drain.run(stage, dataclasses.replace(options, kind="wait"))
