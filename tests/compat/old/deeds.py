"""What the old project does, in its own Python: `python deeds.py NAME ARGUMENT...`, answers JSON.

The arguments are JSON too. Everything works with Django Q 1.0 as with django-q2 1.11.
"""

import json
import sys
import types
from datetime import timedelta
from typing import Any

import django

if __name__ == "__main__":
    django.setup()

from django.core.management import call_command
from django.utils import timezone

from django_q import tasks
from django_q.models import Schedule, Task

#: Columns that came after 1.0.
_FIELDS = {field.name for field in Schedule._meta.fields}


def migrate() -> None:
    """Make the tables."""
    call_command("migrate", verbosity=0)


def keep_rows() -> None:
    """Keep a success and a failure, as its cluster would have."""
    now = timezone.now()
    times = {"started": now - timedelta(seconds=9), "stopped": now - timedelta(seconds=4)}
    Task.objects.create(
        id="a" * 32, name="a success", func="operator.add", group="old", hook="jobs.hook",
        args=(20, 22), kwargs={"deep": [(1, 2)]}, result={"sum": 42, "on": now.date()},
        success=True, **times,
    )  # fmt: skip
    Task.objects.create(
        id="b" * 32, name="a failure", func="operator.truediv", args=(1, 0), kwargs={},
        result="division by zero : Traceback ...", success=False, **times,
    )  # fmt: skip


def plan() -> list[str]:
    """Keep schedules, due and not due, of the kinds that this version has; their names."""
    past, future = timezone.now() - timedelta(minutes=5), timezone.now() + timedelta(days=9)
    due: dict[str, Any] = {"next_run": past, "func": "tests.site.tasks.echo"}
    rows = [
        Schedule(name="hourly", args="20, 22", kwargs="{'deep': [1, {'a': (2, 3)}]}",
                 schedule_type="H", **due),
        Schedule(name="text", args="'one'", kwargs="two=2, three='drei'", schedule_type="D", **due),
        Schedule(name="once", args="(1,)", schedule_type="O", **due),
        Schedule(name="thrice", schedule_type="I", minutes=30, repeats=3, **due),
        Schedule(name="later", schedule_type="M", **due | {"next_run": future}),
        Schedule(name="over", schedule_type="W", repeats=0, **due),
    ]  # fmt: skip
    if "cron" in _FIELDS:
        rows.append(Schedule(name="cron", schedule_type="C", cron="*/30 * * * *", **due))
    if "intended_date_kwarg" in _FIELDS:
        rows.append(Schedule(name="dated", schedule_type="BW", intended_date_kwarg="when", **due))
        options = "{'q_options': {'group': 'of its own', 'timeout': 30}}"
        rows.append(Schedule(name="options", schedule_type="D", kwargs=options, **due))
    # Not `schedule()`, which needs croniter for the one and full times for all.
    Schedule.objects.bulk_create(rows)
    return [str(row.name) for row in rows]


def send(func: str, *args: Any, **options: Any) -> Any:
    """Send a task."""
    return tasks.async_task(func, *args, **options)


def send_many(count: int) -> list[str]:
    """Send many tasks."""
    return [send("operator.neg", number) for number in range(count)]


def send_with_lost_class(count: int) -> list[str]:
    """Send tasks with an argument whose module nobody else has."""
    module = types.ModuleType("module_of_yesterday")
    module.Lost = type("Lost", (), {"__module__": module.__name__})
    sys.modules[module.__name__] = module
    return [send("operator.not_", module.Lost()) for _ in range(count)]


def send_mix() -> dict[str, str]:
    """Send one of each kind: a plain task, a failing one, a chain, an iteration."""
    add = "operator.add"
    hook = "tests.site.tasks.write_hook"
    return {
        "plain": send("operator.mul", 6, 7, group="queued", task_name="six sevens", hook=hook),
        "failing": send("operator.truediv", 1, 0),
        "chain": tasks.async_chain([(add, (1, 2)), ("operator.neg", (3,)), (add, ("a", "b"))]),
        "iteration": tasks.async_iter("math.factorial", [3, 4, 5]),
    }


def tell(task_id: str, wait: int) -> Any:
    """Give what a look-up of the old version says of a task."""
    task = tasks.fetch(task_id, wait=wait)
    return task and {"success": task.success, "result": task.result, "name": task.name}


def tell_group(group: str, count: int, wait: int) -> Any:
    """Give the results of a group."""
    return sorted(map(str, tasks.result_group(group, wait=wait, count=count) or []))


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    answer = globals()[name](*map(json.loads, arguments))
    print("\n" + json.dumps(answer))
