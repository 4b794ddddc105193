"""Asking for the end of a task, wherever it is: `cancel`. Called in any process.

The wish is a row that workers obey. No broker is asked, so it works while the broker is away.
"""

import contextlib
import enum
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial

from django.db import router, transaction
from django.db.models import F
from django.utils import timezone

from django_q.conf import Conf
from django_q.exceptions import ResultsUnavailable
from django_q.executor import announce_recorded
from django_q.models import Cancellation, Task, Tracked
from django_q.package import FailureCause
from django_q.results import cancellations
from django_q.results.base import Row
from django_q.results.database import DatabaseStore
from django_q.results.tracking import first_run_at
from django_q.results.trouble import told
from django_q.states import ended_task
from django_q.stored import seal_value

__all__ = ["CancelAnswer", "cancel"]

_WAITING = (Tracked.State.QUEUED, Tracked.State.SCHEDULED)


class CancelAnswer(enum.StrEnum):
    """What `cancel` did. False where it came too late."""

    #: It waited, and is recorded as cancelled. Should it have begun in the last half second, before
    #: its row said so, it is interrupted.
    CANCELLED = "cancelled"
    #: Who has it ends it, or does not start it.
    ASKED = "asked"
    #: It had ended already, and nothing was done.
    TOO_LATE = "too late"

    def __bool__(self) -> bool:
        return self is not CancelAnswer.TOO_LATE


def cancel(task_id: str, kill: bool = False) -> CancelAnswer:
    """Cancel a task by its id: what waits does not start, what runs is ended by an exception.

    Workers know within a second. A running task that goes on for `grace` seconds loses its worker;
    with `kill` after one second. It is recorded as failed, with the cause "cancelled", and not
    tried again; its hook is called by a worker, its chain ends. Raises ValueError for what is no
    id, ResultsUnavailable when the database is away.
    """
    if not isinstance(task_id, str) or not 0 < len(task_id) <= 32:
        raise ValueError(f"{task_id!r:.100} is no id of a task: give what async_task gave.")
    with told(router.db_for_read(Task), "The task cannot be looked up"):
        tracked = Tracked.objects.using(_alias()).filter(pk=task_id).first()
        if _is_over(task_id, tracked):
            return _too_late(task_id, kill)
    cancellations.ask([task_id], kill=kill, run_at=_run_at([tracked] if tracked else []))
    if tracked is not None and tracked.state in _WAITING and _end([task_id]):
        return CancelAnswer.CANCELLED
    with told(router.db_for_read(Task), "The task cannot be looked up"):
        tracked = Tracked.objects.using(_alias()).filter(pk=task_id).first()
        # It may have ended just now: then nobody would ever come to the wish.
        if _is_over(task_id, tracked):
            cancellations.uncancel([(task_id,)])
            return CancelAnswer.TOO_LATE
    return CancelAnswer.ASKED


def cancel_all(task_ids: Sequence[str], kill: bool = False) -> None:
    """Cancel tasks under way, some hundred, in few queries; for the rest see `cancel`."""
    rows = Tracked.objects.using(_alias()).filter(pk__in=task_ids)
    with told(_alias(), "The tasks cannot be looked up"):
        run_at = _run_at(rows.only("run_at"))
    cancellations.ask(task_ids, kill=kill, run_at=run_at)
    _end(task_ids)
    with told(_alias(), "The tasks cannot be looked up"):
        over = Task.objects.using(router.db_for_write(Task)).filter(pk__in=task_ids, success=True)
        ids = list(over.values_list("pk"))
    if ids:
        cancellations.uncancel(ids)


def _is_over(task_id: str, tracked: Tracked | None) -> bool:
    """Tell whether a task has ended for good, as far as results tell."""
    task = None
    with contextlib.suppress(ResultsUnavailable):  # a cache that is away
        task = ended_task(task_id)
    if task is None or task.success:
        return task is not None
    # A failure may come back: a followed one has a row then, and others by the project's own wish.
    comes_back = Conf.is_set("ack_failures") and not Conf.ACK_FAILURES
    return tracked is None and (not comes_back or task.cause == FailureCause.CANCELLED)


def _too_late(task_id: str, kill: bool) -> CancelAnswer:
    """Answer for a task that has ended; one that was cancelled may be about to be."""
    wished = Cancellation.objects.using(router.db_for_write(Cancellation)).filter(pk=task_id)
    if not wished.exists():
        return CancelAnswer.TOO_LATE
    if kill:
        cancellations.ask([task_id], kill=True)
    return CancelAnswer.CANCELLED


def _end(task_ids: Sequence[str]) -> bool:
    """Record those tasks that wait as cancelled; False when all have begun."""
    waiting = Tracked.objects.using(_alias()).filter(pk__in=task_ids, state__in=_WAITING)
    with told(_alias(), "The task cannot be cancelled"), transaction.atomic(using=_alias()):
        # Changes nothing, but locks the rows on every database.
        waiting.update(text=F("text"))
        found = list(waiting)
        if found:
            others = DatabaseStore().save([_cancelled(tracked) for tracked in found])
            waiting.filter(pk__in=[tracked.id for tracked in found]).delete()
            ended = {t.id: t.task_backend for t in found if t.task_backend and t.id not in others}
            transaction.on_commit(partial(_tell, ended), using=_alias(), robust=True)
    return bool(found)


def _tell(backends: Mapping[str, str]) -> None:
    """Tell Django's task framework of those that were of it: task id -> its backend."""
    if backends:
        for task in Task.objects.using(router.db_for_write(Task)).filter(pk__in=backends):
            announce_recorded(task, backends[task.pk])


def _cancelled(tracked: Tracked) -> Row:
    now = timezone.now()
    return Row(
        id=tracked.id, name=tracked.name, func=tracked.func, hook=None, args=tracked.args,
        kwargs=tracked.kwargs, result=seal_value(cancellations.TEXT), group=tracked.group,
        cluster=tracked.queue, started=now, stopped=now, success=False,
        # Not one run. The worker that comes to its package records it once more, with its hook.
        attempt_count=tracked.attempt - 1, enqueued=tracked.enqueued, cause=FailureCause.CANCELLED,
        priority=tracked.priority or None, run_at=first_run_at(tracked),
    )  # fmt: skip


def _run_at(rows: Iterable[Tracked]) -> dict[str, datetime | None]:
    return {tracked.id: tracked.run_at for tracked in rows}


def _alias() -> str:
    return router.db_for_write(Tracked)
