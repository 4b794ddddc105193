"""Asking for the end of a task, wherever it is: `cancel`. Called in any process.

The wish is a row that workers obey. No broker is asked, so it works while the broker is away.
"""

import contextlib
import enum
from collections.abc import Iterable

from django.db import router, transaction
from django.utils import timezone

from django_q.conf import Conf
from django_q.exceptions import ResultsUnavailable
from django_q.models import Cancellation, Task, Tracked
from django_q.package import FailureCause
from django_q.results import cancellations
from django_q.results.base import Row, encode_value
from django_q.results.database import DatabaseStore
from django_q.results.trouble import told
from django_q.states import ended_task

__all__ = ["CancelAnswer", "cancel"]

_WAITING = (Tracked.State.QUEUED, Tracked.State.SCHEDULED)


class CancelAnswer(enum.StrEnum):
    """What `cancel` did. False where it came too late."""

    #: It waited, and is recorded as cancelled.
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
    cancellations.ask(task_id, kill=kill, run_at=tracked.run_at if tracked else None)
    if tracked is not None and tracked.state in _WAITING and _end(tracked):
        return CancelAnswer.CANCELLED
    with told(router.db_for_read(Task), "The task cannot be looked up"):
        tracked = Tracked.objects.using(_alias()).filter(pk=task_id).first()
        # It may have ended just now: then nobody would ever come to the wish.
        if _is_over(task_id, tracked):
            cancellations.uncancel([(task_id,)])
            return CancelAnswer.TOO_LATE
    return CancelAnswer.ASKED


def cancel_all(task_ids: Iterable[str], kill: bool = False) -> int:
    """Cancel tasks; how many it did not come too late for."""
    return sum(bool(cancel(task_id, kill)) for task_id in task_ids)


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
        cancellations.ask(task_id, kill=True)
    return CancelAnswer.CANCELLED


def _end(tracked: Tracked) -> bool:
    """Record a task that waits as cancelled; False when it has just begun."""
    now = timezone.now()
    row = Row(
        id=tracked.id, name=tracked.name, func=tracked.func, hook=None, args=tracked.args,
        kwargs=tracked.kwargs, result=encode_value(cancellations.TEXT), group=tracked.group,
        cluster=tracked.queue, started=now, stopped=now, success=False,
        # Not one run. The worker that comes to its package records it once more, with its hook.
        attempt_count=tracked.attempt - 1, enqueued=tracked.enqueued, cause=FailureCause.CANCELLED,
    )  # fmt: skip
    with told(_alias(), "The task cannot be cancelled"), transaction.atomic(using=_alias()):
        waiting = Tracked.objects.using(_alias()).filter(pk=tracked.pk, state__in=_WAITING)
        if not waiting.delete()[0]:
            return False
        DatabaseStore().save([row])
    return True


def _alias() -> str:
    return router.db_for_write(Tracked)
