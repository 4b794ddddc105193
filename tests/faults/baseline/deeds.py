"""What the project on django-q2 does, in its own Python: asked and answered by lines of JSON.

A line is `[NAME, ARGUMENT...]`; `tests.faults.baseline.system` asks. Only the public names of
django-q2 are used.
"""

import json
import sys
from typing import Any

import django

if __name__ == "__main__":
    django.setup()

from django.core.management import call_command
from django.utils.dateparse import parse_datetime

from django_q import tasks
from django_q.brokers import get_broker
from django_q.models import Schedule, Task


def migrate() -> None:
    """Make the tables."""
    call_command("migrate", verbosity=0)


def enqueue_many(func: str, calls: list[list[Any]]) -> list[str]:
    """Enqueue tasks with these arguments; their ids."""
    return [tasks.async_task(func, *call) for call in calls]


def enqueue(func: str, kwargs: dict[str, Any]) -> str:
    """Enqueue one task; its id."""
    return tasks.async_task(func, **kwargs)


def stored(func: str) -> int:
    """Count the recorded successes of a function."""
    return Task.objects.filter(func=func, success=True).count()


def outcome(task_id: str) -> list[Any] | None:
    """Give success and result of a task."""
    row = Task.objects.filter(pk=task_id).first()
    return row and [row.success, str(row.result)]


def size() -> int:
    """Count what waits and what is leased."""
    broker = get_broker()
    return broker.queue_size() + (broker.lock_size() or 0)


def plan(func: str, name: str, next_run: str) -> None:
    """Keep an hourly schedule."""
    moment = parse_datetime(next_run)
    tasks.schedule(func, name=name, schedule_type=Schedule.HOURLY, next_run=moment)


def damage(name: str) -> None:
    """Make a schedule one that cannot be read."""
    Schedule.objects.filter(name=name).update(kwargs="not = a(")


def fired(func: str) -> list[list[str]]:
    """Give the schedule and the moment of sending for each task of a function."""
    return [[row.group, row.started.isoformat()] for row in Task.objects.filter(func=func)]


if __name__ == "__main__":
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(globals()[name](*arguments)), flush=True)
