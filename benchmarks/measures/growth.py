"""What half as many workers, so many and twice as many do, with tasks of nothing and of 10 ms."""

import dataclasses

from benchmarks.figures import CPU, MEMORY, SERVER, SETTLED, WORKERS_CPU, Options
from benchmarks.measures import drain
from benchmarks.stage import Stage

TASKS = 20_000
CONCURRENCY = 0
#: A case is compared with the same peer's single worker.
COMPARES_CASES = True
#: So many times fewer tasks of 10 ms.
_FEWER = 50
FIGURES = (SETTLED, CPU, WORKERS_CPU, SERVER, MEMORY)


def cases(plain: Options) -> list[tuple[str, Options]]:
    """Both kinds of task, with each number of workers."""
    asked = plain.workers
    return [
        (
            f"{title}, {workers} worker{'s' if workers > 1 else ''}",
            dataclasses.replace(plain, workers=workers, kind=kind, tasks=plain.tasks // fewer),
        )
        for title, kind, fewer in (("no-op", "noop", 1), ("10 ms", "spin", _FEWER))
        for workers in sorted({max(1, asked // 2), asked, 2 * asked})
    ]


def run(stage: Stage, options: Options) -> dict[str, float]:
    """As `drain`."""
    return drain.run(stage, options)
