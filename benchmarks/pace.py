"""How fast the machine is meanwhile: one and the same loop of Python, timed around each run.

On a machine that is shared with others, microseconds mean little without that. Files that were
made before it was recorded give no moments, and nothing is said of them.
"""

import statistics
import time
from collections.abc import Iterable
from typing import Any

from benchmarks.tasks import turn

#: What a run calls the milliseconds that the loop took before and after it.
BEFORE, AFTER = "loop_ms_before", "loop_ms_after"
#: The same for ever, so that files of different days can be held against each other: 10 to 20 ms.
_TURNS = 200_000
#: Loops at each moment, of which the middle one counts: one may be disturbed.
_TRIES = 3
LOOP = f"one loop of Python ({_TURNS:,} turns)"


def loop_ms() -> float:
    """Milliseconds of CPU that the loop takes just now."""
    times = []
    for _ in range(_TRIES):
        began = time.process_time()
        turn(_TURNS)
        times.append(time.process_time() - began)
    return statistics.median(times) * 1000


def moments(reports: Iterable[dict[str, Any]]) -> list[float]:
    """What the loop took around all runs of these reports."""
    return [
        run[name]
        for report in reports
        for row in report["rows"]
        for run in row["runs"]
        for name in (BEFORE, AFTER)
        if name in run
    ]


def line(report: dict[str, Any]) -> str:
    """What stands below a table; empty for a file without moments."""
    took = moments([report])
    if not took:
        return ""
    return (
        f"Meanwhile {LOOP} took {min(took):.1f} to {max(took):.1f} ms of CPU,"
        f" median {statistics.median(took):.1f}."
    )


def sentence(reports: Iterable[dict[str, Any]]) -> str:
    """The same of all tables together, for the page that shows them."""
    reports = list(reports)
    telling = [report for report in reports if moments([report])]
    took = moments(telling)
    if not took:
        return (
            "The machine of these tables is shared with others; how fast it was meanwhile, their"
            " files do not say."
        )
    return (
        "The machine of these tables is shared with others. How fast it was meanwhile is told in"
        f" {len(telling)} of {len(reports)} files: {LOOP} took {min(took):.1f} ms of CPU at its"
        f" best and {max(took):.1f} ms at its worst, median {statistics.median(took):.1f}."
    )
