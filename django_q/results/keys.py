"""The keys that unique tasks take, so that no other task with the same one is enqueued.

Taken by producers and the scheduler; freed by workers in the transaction of the outcome, or when
the task starts. All raise ResultsUnavailable when the database is away.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import router
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from django_q.models import Tracked, UniqueKey
from django_q.results.trouble import told

_CANNOT = "The keys of unique tasks cannot be written"
#: Scope of a key that is taken for a time, whatever becomes of its task.
FOR_A_TIME = "time"


def take(key: str, task_id: str, scope: str, held: float, queue: str | None = None) -> str:
    """Take a key for a task, for `held` seconds at most; gives the id of the task that has it then.

    That is another one where the key was taken already. Takes part in the caller's transaction.
    """
    rows = UniqueKey.objects.using(_alias())
    now = timezone.now()
    until = now + timedelta(seconds=held)
    row = UniqueKey(key=key, task=task_id, scope=scope, until=until, queue=queue)
    with told(_alias(), _CANNOT):
        rows.filter(key=key, until__lte=now).delete()
        # One statement decides between two who come at the same time.
        rows.bulk_create([row], ignore_conflicts=True)
        holder = rows.filter(key=key).values_list("task", flat=True).first()
    # Gone between the two: the other one is over just now, and so much the better.
    return take(key, task_id, scope, held, queue) if holder is None else str(holder)


def hand_over(key: str, old: str, new: str, held: float, queue: str | None = None) -> bool:
    """Make a key another task's; False when `old` does not have it any more."""
    until = timezone.now() + timedelta(seconds=held)
    with told(_alias(), _CANNOT):
        rows = UniqueKey.objects.using(_alias()).filter(key=key, task=old)
        return bool(rows.update(task=new, until=until, queue=queue))


def free(keys: Sequence[tuple[Any, ...]]) -> None:
    """Free keys, given as pairs of key and the task that has it. Idempotent."""
    with told(_alias(), _CANNOT):
        for key, task_id in keys:
            UniqueKey.objects.using(_alias()).filter(key=key, task=task_id).delete()


def free_of(task_ids: Sequence[str]) -> None:
    """Free whatever keys these tasks have. Idempotent."""
    with told(_alias(), _CANNOT):
        UniqueKey.objects.using(_alias()).filter(task__in=list(task_ids)).delete()


def free_of_queue(queue: str) -> None:
    """Free the keys of what waited in a queue that was emptied by hand."""
    _free_waiting(UniqueKey.objects.using(_alias()).filter(queue=queue))


def free_of_deleted(task_ids: Sequence[str]) -> None:
    """Free the keys of tasks whose packages were deleted by hand, unless they run already."""
    _free_waiting(UniqueKey.objects.using(_alias()).filter(task__in=list(task_ids)))


def _free_waiting(rows: QuerySet[UniqueKey]) -> None:
    running = Tracked.objects.filter(pk=OuterRef("task"), state=Tracked.State.RUNNING)
    with told(_alias(), _CANNOT):
        rows.exclude(scope=FOR_A_TIME).exclude(Exists(running)).delete()


def drop_old() -> int:
    """Delete the keys whose time is over."""
    with told(_alias(), _CANNOT):
        rows = UniqueKey.objects.using(_alias()).filter(until__lte=timezone.now())
        return int(rows.delete()[0])


def _alias() -> str:
    return router.db_for_write(UniqueKey)
