"""Schedules for the tests, and what comes of them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from django_q.brokers import Broker, get_broker
from django_q.models import Schedule
from django_q.package import TaskPackage
from django_q.scheduler import Scheduler
from django_q.sealed import open_package

Configure = Callable[..., Any]

#: A Wednesday. Nothing depends on when the tests run.
NOW = datetime(2026, 6, 3, 12, tzinfo=UTC)
MEMORY = "django_q.brokers.memory.Memory"


def make(**columns: Any) -> Schedule:
    """A row as the scheduler finds it, due a second ago unless it says otherwise."""
    columns = {"func": "math.sqrt", "args": "(4,)", "kwargs": "{}"} | columns
    columns = {"schedule_type": "H", "next_run": NOW - timedelta(seconds=1)} | columns
    # By `bulk_create` the row is taken as it is.
    (made,) = Schedule.objects.bulk_create([Schedule(**columns)])
    return Schedule.objects.get(pk=made.pk) if made.pk else Schedule.objects.latest("pk")


def sent(broker: Broker | None = None) -> list[TaskPackage]:
    """All packages of a queue, taken out and opened."""
    broker = broker or get_broker()
    leases = broker.lease(300)
    broker.acknowledge_many([lease.receipt for lease in leases if lease.receipt])
    return [open_package(lease.payload, broker.list_key) for lease in leases]


def run(broker: Broker | None = None, now: datetime = NOW, **options: Any) -> list[TaskPackage]:
    """What one pass of a scheduler enqueues."""
    broker = broker or get_broker()
    Scheduler(broker).run_due(now, **options)
    return sent(broker)
