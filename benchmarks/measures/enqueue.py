"""How fast a site hands tasks over, one at a time and in bulk, while nobody works."""

from benchmarks.figures import Figure, Options
from benchmarks.stage import RunFailed, Stage

TASKS = 5_000
CONCURRENCY = 0
#: So many times more tasks are sent in bulk.
_BULK = 4
FIGURES = (
    Figure("one_at_a_time_per_second", "one at a time/s", more_is_better=True),
    Figure("one_at_a_time_cpu_us", "CPU us/task", 1, more_is_better=False),
    Figure("bulk_per_second", "in bulk/s", more_is_better=True),
    Figure("bulk_cpu_us", "CPU us/task in bulk", 1),
)


def run(stage: Stage, options: Options) -> dict[str, float]:
    """Send, and count what has arrived."""
    count = options.tasks
    # Connections, caches, prepared statements.
    stage.ask("send_each", kind="noop", first=0, count=100)
    each = stage.ask("send_each", kind="noop", first=0, count=count, payload=options.payload)
    figures = {
        "one_at_a_time_per_second": count / each["took"],
        "one_at_a_time_cpu_us": each["cpu"] / count * 1e6,
    }
    sent = 100 + count
    if stage.ask("has_bulk"):
        more = _BULK * count
        bulk = stage.ask("send_bulk", kind="noop", first=0, count=more, payload=options.payload)
        figures["bulk_per_second"] = more / bulk["took"]
        figures["bulk_cpu_us"] = bulk["cpu"] / more * 1e6
        sent += more
    if (arrived := stage.ask("unsettled")) != sent:
        raise RunFailed(f"{stage.entry}: {sent} tasks were sent, {arrived} wait.")
    return figures
