"""How long a task waits on an idle cluster, from the call that sends it to its first statement."""

import statistics

from benchmarks.figures import Figure, Options
from benchmarks.stage import Stage

TASKS = 200
CONCURRENCY = 0
#: Seconds between two tasks, drawn between these: nothing falls into step with a poll.
_LEAST, _MOST = 0.05, 0.25
FIGURES = (
    Figure("p50_ms", "p50 ms", 2, more_is_better=False),
    Figure("p95_ms", "p95 ms", 2),
    Figure("p99_ms", "p99 ms", 2),
    Figure("max_ms", "max ms", 2),
)


def run(stage: Stage, options: Options) -> dict[str, float]:
    """Send each task when the one before has begun and a while has passed."""
    stage.start()
    sent = stage.ask("send_apart", count=options.tasks, least=_LEAST, most=_MOST)
    stage.prove(options.tasks)
    begun: dict[int, int] = {}
    for mark in stage.marks():
        begun.setdefault(mark.number, mark.moment)
    waits = sorted((begun[number] - moment) / 1e6 for number, moment in enumerate(sent))
    hundredths = statistics.quantiles(waits, n=100, method="inclusive")
    return {
        "p50_ms": hundredths[49],
        "p95_ms": hundredths[94],
        "p99_ms": hundredths[98],
        "max_ms": waits[-1],
    }
