"""Which schedules do not run as they should: late, broken, or of a queue that nobody serves.

Asked by the housekeeper, which logs it, and by whoever shows it to people.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import Q, QuerySet

from django_q.conf import Conf
from django_q.models import Schedule

#: A schedule is late when it is due for so long: clusters are to start it in a second.
LATE = timedelta(minutes=1)
#: Schedules that are told at once; with more something else is wrong.
_MOST = 100


class Unpunctual(NamedTuple):
    """A schedule that does not run as it should."""

    id: int
    #: Its name, or its function.
    name: str
    next_run: datetime | None
    #: What is wrong, as half a sentence: "is due since 10:00".
    reason: str
    #: The scheduler has disabled it, and said so then.
    is_disabled: bool


def unpunctual(now: datetime, served: Collection[str] | None = None) -> list[Unpunctual]:
    """Give the schedules that are late, broken or unserved, the oldest first; at most 100.

    `served` are the queues of the clusters that run; None where that is not known.
    """
    late = Q(enabled=True, next_run__lt=now - LATE)
    wrong = late | Q(enabled=False, error__gt="")
    if served is not None:
        wrong |= Q(enabled=True, next_run__isnull=False) & ~_of_queues(served)
    rows = Schedule.objects.exclude(repeats=0).filter(wrong).order_by("next_run", "pk")
    return [_tell(row, now, served) for row in _columns(rows)[:_MOST]]


def queue_of(schedule: Schedule) -> str:
    """Give the queue whose clusters run a schedule."""
    return schedule.cluster or str(Conf.PREFIX)


def _of_queues(queues: Collection[str]) -> Q:
    found = Q(cluster__in=list(queues))
    if Conf.PREFIX in queues:
        found |= Q(cluster=None) | Q(cluster="")
    return found


def _columns(rows: QuerySet[Schedule]) -> QuerySet[Schedule]:
    return rows.only("name", "func", "cluster", "next_run", "enabled", "error")


def _tell(schedule: Schedule, now: datetime, served: Collection[str] | None) -> Unpunctual:
    queue, due = queue_of(schedule), schedule.next_run
    if not schedule.enabled:
        reason = f"is disabled: {schedule.error}"
    elif served is not None and queue not in served:
        reason = f"waits for a cluster that serves the queue {queue}; none runs"
    else:
        late = (now - due).total_seconds() if due else 0.0
        reason = f"is overdue by {late:.0f} s"
    return Unpunctual(
        schedule.pk, schedule.name or schedule.func, due, reason, not schedule.enabled
    )
