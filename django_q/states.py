"""How a task stands, from when it is sent until its result is gone: `task_status`.

Called in any process. Two or three look-ups by key, whatever the broker.
"""

import dataclasses
import enum
from datetime import datetime, timedelta

from django.utils import timezone

from django_q.conf import Conf
from django_q.models import Task, Tracked
from django_q.package import FailureCause
from django_q.results.cache import CacheStore
from django_q.run import Progress

__all__ = ["Progress", "TaskState", "TaskStatus", "task_status"]

#: Columns of a result that need no unpickling.
_PLAIN = (
    *("id", "name", "func", "group", "cluster", "started", "stopped", "success", "attempt_count"),
    *("enqueued", "worker", "cause"),
)


class TaskState(enum.StrEnum):
    """What a task is about."""

    #: It waits for a worker.
    QUEUED = "queued"
    #: It waits for its time, or for that of its next attempt.
    SCHEDULED = "scheduled"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """The task has ended."""
        return self in (TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED)


@dataclasses.dataclass(frozen=True)
class TaskStatus:
    """How a task stands at one moment."""

    id: str
    state: TaskState
    name: str
    func: str
    group: str | None
    #: Name of its queue.
    queue: str
    #: When it came into this state; of one that waits, when it was sent.
    since: datetime
    #: Which run it is, was or will be; 0 for a task that was cancelled before its first.
    attempt: int
    enqueued: datetime | None = None
    #: Of one that waits for its time: when it may run.
    run_at: datetime | None = None
    #: Where it runs or ran, as `host:pid`.
    worker: str | None = None
    started: datetime | None = None
    stopped: datetime | None = None
    #: What it said last, if it runs and said anything: see `current_task().progress`.
    progress: Progress | None = None
    #: It was running when it was last heard of, and has not been for so long that its machine must
    #: be gone. It runs again when its lease has lapsed.
    is_lost: bool = False


def task_status(task_id: str) -> TaskStatus | None:
    """Tell how a task stands, by its id; None when nothing is known of it.

    Of tasks that wait only those are known that are followed from the start, by the option or
    setting `track`; of those that run all that have done so for a second; of those that have ended
    all whose result is kept.
    """
    tracked = Tracked.objects.filter(pk=task_id).first()
    task = ended_task(task_id)
    # A failed one that has a row will be run again.
    if task is not None and (task.success or tracked is None):
        return _ended(task)
    return None if tracked is None else _under_way(tracked)


def ended_task(task_id: str) -> Task | None:
    """Give the recorded outcome of a task, from the database or else from the cache, or None."""
    task = Task.objects.only(*_PLAIN).filter(pk=task_id).first()
    return CacheStore().fetch(task_id) if task is None and Conf.CACHE else task


def is_lost(tracked: Tracked) -> bool:
    """Tell whether a task that was running has not been heard of for longer than its lease."""
    silence = timezone.now() - tracked.seen
    # Twice, since the clocks of two machines may differ.
    is_silent = silence > 2 * timedelta(seconds=float(Conf.RETRY))
    return tracked.state == Tracked.State.RUNNING and is_silent


def _under_way(tracked: Tracked) -> TaskStatus:
    progress = None
    if tracked.done is not None:
        progress = Progress(tracked.done, tracked.total, tracked.text)
    return TaskStatus(
        id=tracked.id,
        state=TaskState(tracked.state),
        name=tracked.name,
        func=tracked.func,
        group=tracked.group,
        queue=tracked.queue,
        since=tracked.started or tracked.enqueued,
        attempt=tracked.attempt,
        enqueued=tracked.enqueued,
        run_at=tracked.run_at if tracked.state == Tracked.State.SCHEDULED else None,
        worker=tracked.worker,
        started=tracked.started,
        progress=progress,
        is_lost=is_lost(tracked),
    )


def _ended(task: Task) -> TaskStatus:
    state = TaskState.SUCCEEDED if task.success else TaskState.FAILED
    if task.cause == FailureCause.CANCELLED:
        state = TaskState.CANCELLED
    return TaskStatus(
        id=task.id,
        state=state,
        name=task.name,
        func=task.func,
        group=task.group,
        queue=task.cluster or "",
        since=task.stopped,
        attempt=task.attempt_count,
        enqueued=task.enqueued,
        worker=task.worker,
        started=task.started,
        stopped=task.stopped,
    )
