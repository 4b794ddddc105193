"""Django Q itself; its settings stand in `benchmarks.settings`."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.core.management import call_command
from django.utils import timezone

from benchmarks.scene import Scene
from django_q.brokers import get_broker
from django_q.models import Task
from django_q.tasks import async_task, async_tasks

#: Rows that are written at once.
_BATCH = 10_000


def prepare() -> None:
    """Make the tables."""
    call_command("migrate", verbosity=0)


def commands() -> list[list[str]]:
    """One cluster."""
    return [["django", "qcluster"]]


def send_each(kind: str, numbers: Iterable[int], arguments: dict[str, Any]) -> None:
    """One `async_task` each."""
    name = _name(kind)
    for number in numbers:
        async_task(name, number, **arguments)


def send_bulk(kind: str, numbers: Iterable[int], arguments: dict[str, Any]) -> None:
    """One `async_tasks` for all."""
    async_tasks(_name(kind), ((number,) for number in numbers), **arguments)


def unsettled() -> int:
    """What waits, and what is leased."""
    broker = get_broker()
    return broker.queue_size() + (broker.lock_size() or 0)


def results() -> int:
    """Successes in the database."""
    return Task.objects.filter(success=True).count()


def old_results(count: int) -> None:
    """Rows of tasks that ended a month ago and later, one a second."""
    began = timezone.now() - timedelta(days=30)
    for first in range(0, count, _BATCH):
        moments = [
            (number, began + timedelta(seconds=number / 2))
            for number in range(first, min(count, first + _BATCH))
        ]
        Task.objects.bulk_create(
            Task(
                id=f"{number:032x}",
                name=f"old-{number}",
                func="benchmarks.tasks.noop",
                started=moment,
                stopped=moment,
                success=True,
                result=number,
            )
            for number, moment in moments
        )


def _name(kind: str) -> str:
    return f"benchmarks.tasks.{kind}{'_async' if Scene.here().variant == 'async' else ''}"
