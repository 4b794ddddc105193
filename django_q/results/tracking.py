"""The rows of tasks under way: `django_q.models.Tracked`.

Written by who sends a task that is followed from the start (see `waiting`), by clerks for what
runs, by the housekeeper after a death. All raise ResultsUnavailable when the database is away.
"""

import operator
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import router, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from django_q.models import Task, Tracked
from django_q.results.statements import put, storable
from django_q.results.trouble import told
from django_q.run import Progress

_CANNOT = "The tasks under way cannot be written"
#: Rows that one look for what is over takes, oldest first: some milliseconds of work.
_LOOK = 10_000
#: A row that nothing was heard of for so long is of a package that was lost, rejected or purged:
#: the longest retention of any broker here.
_KEPT = timedelta(days=14)
#: A producer whose transaction is longer than this leaves a row of a task that is over.
_LONG_TRANSACTION = timedelta(minutes=1)


class Running(NamedTuple):
    """A task that runs, in plain values; pickles are not opened for them."""

    id: str
    name: str
    func: str
    group: str | None
    queue: str
    attempt: int
    enqueued: datetime
    started: datetime
    worker: str
    #: A producer made the row: it is changed, never made anew.
    is_tracked: bool
    progress: Progress | None


# For who sends, and may fail to.


def forget(ids: Sequence[str]) -> None:
    """Delete the rows of tasks that are over, or could not be sent. Idempotent."""
    with told(_alias(), _CANNOT):
        Tracked.objects.using(_alias()).filter(pk__in=ids).delete()


# For the books: entries in the transaction of an outcome.


def untrack(values: Sequence[tuple[Any, ...]]) -> None:
    """Delete the rows of tasks that are over, given as 1-tuples of their ids."""
    forget([task_id for (task_id,) in values])


def reschedule(values: Sequence[tuple[Any, ...]]) -> None:
    """Say of tasks that they wait again: id, seconds from now, number of the next run or None."""
    now = timezone.now()
    with told(_alias(), _CANNOT):
        for task_id, delay, attempt in values:
            _rows(task_id).update(
                state=Tracked.State.SCHEDULED if delay else Tracked.State.QUEUED,
                run_at=now + timedelta(seconds=delay) if delay else None,
                seen=now,
                **(_AT_REST if attempt is None else _AT_REST | {"attempt": attempt}),
            )


#: Columns of a task that does not run.
_AT_REST: dict[str, Any] = {
    "started": None, "worker": None, "done": None, "total": None, "text": "",
}  # fmt: skip


# For clerks.


def write(running: Sequence[Running]) -> None:
    """Say of tasks that they run. Makes the rows that no producer has made."""
    with told(_alias(), _CANNOT), transaction.atomic(using=_alias()):
        others = []
        for task in running:
            if task.is_tracked:
                # Not made where it is missing: one that a transaction has not committed yet would
                # have to be waited for.
                _rows(task.id).update(**_changes(task))
            else:
                others.append(_made(task))
        if others:
            put(_alias(), sorted(others, key=operator.attrgetter("id")), _CHANGED)


def _changes(task: Running) -> dict[str, Any]:
    progress = task.progress
    return {
        "state": Tracked.State.RUNNING,
        "attempt": task.attempt,
        "started": storable(task.started),
        "worker": task.worker,
        "seen": timezone.now(),
        "done": progress.done if progress else None,
        "total": progress.total if progress else None,
        "text": progress.text if progress else "",
    }


_CHANGED = ("state", "attempt", "started", "worker", "seen", "done", "total", "text")


def _made(task: Running) -> Tracked:
    return Tracked(
        id=task.id, name=task.name, func=task.func, group=task.group, queue=task.queue,
        enqueued=storable(task.enqueued), **_changes(task),
    )  # fmt: skip


def see(ids: Sequence[str]) -> None:
    """Say of tasks that they still run."""
    if ids:
        with told(_alias(), _CANNOT):
            rows = Tracked.objects.using(_alias()).filter(pk__in=ids)
            rows.update(seen=timezone.now())


def forget_queue(queue: str) -> None:
    """Delete the rows of what waited in a queue that was emptied by hand."""
    _forget_waiting(Tracked.objects.using(_alias()).filter(queue=queue))


def forget_deleted(ids: Sequence[str]) -> None:
    """Delete the rows of tasks whose packages were deleted by hand, unless they run already."""
    _forget_waiting(Tracked.objects.using(_alias()).filter(pk__in=ids))


def _forget_waiting(rows: QuerySet[Tracked]) -> None:
    with told(_alias(), _CANNOT):
        rows.exclude(state=Tracked.State.RUNNING).delete()


# For the housekeeper.


def first_run_at(row: Tracked) -> datetime | None:
    """Give the moment that the sender of a task gave; of a later attempt it is not known."""
    return row.sender_run_at if row.attempt == 1 else None


def find(task_id: str) -> Tracked | None:
    """Give the row of a task, if it is followed."""
    with told(_alias(), "The tasks under way cannot be read"):
        return _rows(task_id).first()


def requeue(task_id: str, *, is_known: bool) -> None:
    """Say of a task whose worker died that it waits again.

    Unless it `is_known` then that it was delivered before, nobody would delete a clerk's row.
    """
    with told(_alias(), _CANNOT):
        if not is_known:
            _rows(task_id).filter(args=None).delete()
        _rows(task_id).update(state=Tracked.State.QUEUED, seen=timezone.now(), **_AT_REST)


def put_right(silence: float) -> None:
    """Mend the rows whose clerk was silent for so many seconds, and drop those that are over.

    Their leases have lapsed: a task that a producer follows waits again, of others nothing is
    known until they run once more.
    """
    now = timezone.now()
    rows = Tracked.objects.using(_alias())
    with told(_alias(), _CANNOT):
        lost = rows.filter(seen__lt=now - timedelta(seconds=silence), state=Tracked.State.RUNNING)
        lost.filter(args=None).delete()
        lost.update(state=Tracked.State.QUEUED, seen=now, **_AT_REST)


def drop_old() -> None:
    """Delete the rows of tasks that are over, or that nothing can be heard of any more."""
    now = timezone.now()
    rows = Tracked.objects.using(_alias())
    with told(_alias(), _CANNOT):
        silent = rows.filter(seen__lt=now - _KEPT)
        silent.filter(run_at=None).delete()
        silent.filter(run_at__lt=now - _KEPT).delete()
        waiting = rows.filter(seen__lt=now - _LONG_TRANSACTION, state=Tracked.State.QUEUED)
        _drop_ended(waiting.order_by("seen"))


def _drop_ended(rows: QuerySet[Tracked]) -> None:
    """Delete rows that a producer's long transaction brought after their task had ended."""
    ended = Task.objects.filter(pk=OuterRef("pk"), stopped__gt=OuterRef("seen"))
    ids = list(rows.values_list("pk", flat=True)[:_LOOK])
    for start in range(0, len(ids), 500):
        some = Tracked.objects.using(_alias()).filter(pk__in=ids[start : start + 500])
        found = list(some.filter(Exists(ended)).values_list("pk", flat=True))
        if found:
            Tracked.objects.using(_alias()).filter(pk__in=found).delete()


def _rows(task_id: str) -> QuerySet[Tracked]:
    return Tracked.objects.using(_alias()).filter(pk=task_id)


def _alias() -> str:
    return router.db_for_write(Tracked)
