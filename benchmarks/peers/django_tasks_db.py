"""The database backend of Django's task framework. It has no call for many tasks."""

from collections.abc import Iterable
from typing import Any

import django
from django.core.management import call_command
from django_tasks_db.models import DBTaskResult

from benchmarks import tasks
from benchmarks.scene import Scene

if django.VERSION >= (6, 0):
    from django.tasks import task
else:
    from django_tasks import task


@task()
def noop(number: int, payload: str = "") -> int:
    """A task must be found under the name of its function."""
    return tasks.noop(number, payload)


@task()
def wait(number: int) -> int:
    """The same."""
    return tasks.wait(number)


@task()
def spin(number: int) -> int:
    """The same."""
    return tasks.spin(number)


_TASKS = {"noop": noop, "wait": wait, "spin": spin}


def prepare() -> None:
    """Make its tables."""
    call_command("migrate", verbosity=0)


def commands() -> list[list[str]]:
    """As many workers as processes; they look for tasks ten times a second, not once."""
    words = ["django", "db_worker", "--interval", "0.1", "--no-startup-delay", "-v", "0"]
    return [words] * Scene.here().workers


def send_each(kind: str, numbers: Iterable[int], arguments: dict[str, Any]) -> None:
    """One `enqueue` each."""
    for number in numbers:
        _TASKS[kind].enqueue(number, **arguments)


def unsettled() -> int:
    """Rows that have not come to an end."""
    return int(DBTaskResult.objects.filter(status__in=("READY", "RUNNING")).count())


def results() -> int:
    """Rows that ended well."""
    return int(DBTaskResult.objects.filter(status="SUCCESSFUL").count())
