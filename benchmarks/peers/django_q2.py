"""django-q2; its settings stand in `benchmarks.settings`. It has no call for many tasks."""

from collections.abc import Iterable
from typing import Any

from django.core.management import call_command

from django_q.brokers import get_broker
from django_q.models import Success
from django_q.tasks import async_task


def prepare() -> None:
    """Make the tables."""
    call_command("migrate", verbosity=0)


def commands() -> list[list[str]]:
    """One cluster."""
    return [["django", "qcluster"]]


def send_each(kind: str, numbers: Iterable[int], arguments: dict[str, Any]) -> None:
    """One `async_task` each, by one broker, which is quicker than a new one for each call."""
    name, broker = f"benchmarks.tasks.{kind}", get_broker()
    for number in numbers:
        async_task(name, number, broker=broker, **arguments)


def unsettled() -> int:
    """What waits, and what the broker of the database has lent."""
    broker = get_broker()
    return int(broker.queue_size()) + int(broker.lock_size() or 0)


def results() -> int:
    """Successes in the database."""
    return int(Success.objects.count())
