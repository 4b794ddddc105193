"""What the size of a task costs, also where the same bytes go through redis-py alone."""

import dataclasses

from benchmarks.figures import CPU, SERVER, SETTLED, Figure, Options
from benchmarks.measures import drain
from benchmarks.stage import Stage

TASKS = 10_000
CONCURRENCY = 0
_SIZES = (1_000, 100_000, 1_000_000)
#: Bytes that wait at most; the server keeps them in memory.
_MOST = 200_000_000
FIGURES = (
    SETTLED,
    Figure("megabytes_per_second", "MB/s", 1),
    CPU,
    SERVER,
    Figure("filled_per_second", "enqueued in bulk/s"),
)


def cases(plain: Options) -> list[tuple[str, Options]]:
    """One for each size, with fewer tasks where they are large."""
    return [
        (
            f"{size:,} bytes",
            dataclasses.replace(plain, payload=size, tasks=min(plain.tasks, _MOST // size)),
        )
        for size in plain.payloads or _SIZES
    ]


def run(stage: Stage, options: Options) -> dict[str, float]:
    """As `drain`."""
    figures = drain.run(stage, options)
    rate = figures["settled_per_second"] * options.payload / 1e6
    return {**figures, "megabytes_per_second": rate}
