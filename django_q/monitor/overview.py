"""The figures that `qinfo` shows: `look` asks broker and database once. Called in commands."""

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Avg, DurationField, ExpressionWrapper, F, QuerySet
from django.utils import timezone

from django_q import __version__
from django_q.brokers import Broker, shared_broker
from django_q.brokers.estimate import Estimate
from django_q.conf import Conf
from django_q.exceptions import BrokerUnavailable
from django_q.models import Failure, Schedule, Success
from django_q.punctuality import LATE
from django_q.results.statements import storable
from django_q.status import Stat

#: The states of a cluster, by the names of their texts in `Conf`.
_STATES = ("STARTING", "WORKING", "IDLE", "STOPPING", "STOPPED")
#: Overdue, and broken, schedules that are told by name.
_NAMED = 5


@dataclasses.dataclass(frozen=True)
class Queue:
    """One queue, and who serves it."""

    name: str
    waiting: int
    #: None where the broker does not tell.
    leased: int | None
    clusters: int
    #: `waiting` was reckoned, not counted.
    is_estimate: bool = False


@dataclasses.dataclass(frozen=True)
class Running:
    """A task that runs now."""

    task_id: str
    name: str
    func: str
    #: Name of its cluster, and its worker as `host:pid`.
    cluster: str
    worker: str
    since: datetime


@dataclasses.dataclass(frozen=True)
class Tasks:
    """What the results table tells."""

    successes: int
    failures: int
    #: Successes of the last 24 hours, and their mean duration in seconds.
    last_day: int
    mean_duration: float | None


@dataclasses.dataclass(frozen=True)
class Schedules:
    """Schedules that will run again."""

    active: int
    next_run: datetime | None
    overdue: int
    #: Some of those that are overdue: name or function, and when they were due.
    overdue_first: Sequence[tuple[str, datetime]]
    #: Schedules that somebody, or the scheduler, has disabled.
    paused: int = 0
    broken: int = 0
    #: Some of the broken ones: name or function, and the error.
    broken_first: Sequence[tuple[str, str]] = ()


@dataclasses.dataclass(frozen=True)
class Overview:
    """All figures, taken at one moment."""

    moment: datetime
    project: str
    broker: str
    clusters: Sequence[Stat]
    queues: Sequence[Queue]
    tasks: Tasks
    schedules: Schedules

    def as_dict(self) -> dict[str, Any]:
        """Give it as dicts, lists, numbers and texts, for JSON."""
        figures = dataclasses.asdict(dataclasses.replace(self, clusters=()))
        clusters = [cluster_as_dict(stat) for stat in self.clusters]
        tasks = [dataclasses.asdict(task) for task in running(self.clusters)]
        return {"version": __version__} | figures | {"clusters": clusters, "running": tasks}


def look(broker: Broker | None = None) -> Overview:
    """Ask the broker and the database.

    Raises BrokerError when the broker is away, and Django's database errors.
    """
    broker = broker or shared_broker()
    if not broker.ping():
        raise BrokerUnavailable(f"The broker does not answer: {broker.info()}.")
    clusters = Stat.get_all(broker)
    now = timezone.now()
    return Overview(
        moment=now,
        project=Conf.PREFIX,
        broker=broker.info(),
        clusters=clusters,
        queues=queues(broker, clusters),
        tasks=tasks(now),
        schedules=schedules(now),
    )


def queues(broker: Broker, clusters: Sequence[Stat]) -> list[Queue]:
    """Look at this cluster's queue, at those that are served, and those that schedules name."""
    alive = [name for s in clusters if s.status != Conf.STOPPED for name in s.served]
    scheduled = _active().values_list("cluster", flat=True).distinct()
    # A schedule without a queue of its own is of the project's.
    names = {broker.list_key, *alive, *(name or Conf.PREFIX for name in scheduled)}
    found = []
    for name in sorted(filter(None, names)):
        own = broker if name == broker.list_key else shared_broker(name)
        waiting = own.queue_size()
        is_estimate = isinstance(waiting, Estimate)
        found.append(Queue(name, waiting, own.lock_size(), alive.count(name), is_estimate))
    return found


def running(clusters: Sequence[Stat]) -> list[Running]:
    """Give the tasks that run, by what heartbeats tell; those that run longest first."""
    found = [
        Running(
            task_id=task["task_id"],
            name=task["name"],
            func=task["func"],
            cluster=stat.name,
            worker=f"{stat.host}:{worker['pid']}",
            since=storable(datetime.fromtimestamp(task["since"], UTC)),
        )
        for stat in clusters
        for worker in stat.worker_states
        for task in worker.get("tasks", [])
    ]
    return sorted(found, key=lambda task: task.since)


def tasks(now: datetime) -> Tasks:
    """Count the results."""
    recent = Success.objects.order_by().filter(stopped__gte=now - timedelta(days=1))
    # Rows of Django Q 1 and 2 start with the time of enqueueing.
    duration = ExpressionWrapper(F("stopped") - F("started"), output_field=DurationField())
    mean = recent.exclude(enqueued=None).aggregate(mean=Avg(duration))["mean"]
    return Tasks(
        successes=Success.objects.count(),
        failures=Failure.objects.count(),
        last_day=recent.count(),
        mean_duration=None if mean is None else mean.total_seconds(),
    )


def schedules(now: datetime) -> Schedules:
    """Look at the schedules that will run again."""
    active = _active()
    overdue = active.filter(next_run__lt=now - LATE)
    disabled = Schedule.objects.order_by().exclude(repeats=0).filter(enabled=False)
    broken = disabled.filter(error__gt="")
    errors = broken.order_by("next_run", "pk").values_list("name", "func", "error")[:_NAMED]
    first = overdue.order_by("next_run").values_list("name", "func", "next_run")[:_NAMED]
    return Schedules(
        active=active.count(),
        next_run=active.order_by("next_run").values_list("next_run", flat=True).first(),
        overdue=overdue.count(),
        overdue_first=[(name or func, due) for name, func, due in first if due],
        paused=disabled.count() - broken.count(),
        broken=broken.count(),
        broken_first=[(name or func, error or "") for name, func, error in errors],
    )


def _active() -> QuerySet[Schedule]:
    rows = Schedule.objects.order_by().filter(enabled=True)
    return rows.exclude(repeats=0).exclude(next_run=None)


def cluster_as_dict(stat: Stat) -> dict[str, Any]:
    """Give a cluster for JSON; its status in English, whatever the language."""
    words = [name.capitalize() for name in _STATES if getattr(Conf, name) == stat.status]
    values = vars(stat) | {"cluster_id": str(stat.cluster_id)}
    values["status"] = words[0] if words else str(stat.status)
    return values | {"uptime": round(stat.uptime(), 1)}
