"""Results as the framework shows them, made from our rows, or from a run that is under way."""

import contextlib
from collections.abc import Sequence
from typing import Any

from django.db import Error, router
from django.utils import timezone

from django_q.exceptions import TaskCancelled, TaskFailed, TimeoutException
from django_q.framework.family import Family
from django_q.models import Attempt, Task, Tracked
from django_q.package import FailureCause, Outcome, TaskPackage, function_path
from django_q.results.base import worker_name
from django_q.stored import open_value

#: Cause of a failure -> what stands for it where nothing was raised; else TaskFailed.
_STANDS_FOR: dict[str, type[BaseException]] = {
    FailureCause.TIMEOUT: TimeoutException,
    FailureCause.CANCELLED: TaskCancelled,
}


def attempts_of(task_id: str) -> list[Attempt]:
    """Give the runs of a task that failed and were not its last, first one first."""
    alias = router.db_for_read(Attempt)
    return list(Attempt.objects.using(alias).filter(task=task_id).order_by("number"))


def was_told(task_id: str) -> bool:
    """Tell whether who cancelled a task while it waited has recorded that, and told of it."""
    rows = Task.objects.using(router.db_for_write(Task)).filter(pk=task_id, worker=None)
    with contextlib.suppress(Error):  # once too often is better than never
        return rows.filter(cause=FailureCause.CANCELLED).exists()
    return False


def ready_result(family: Family, task: Any, alias: str, package: TaskPackage) -> Any:
    """Give the result of a task that was just made."""
    return family.base.TaskResult(
        task=task,
        id=package["id"],
        status=family.base.TaskResultStatus.READY,
        enqueued_at=None,
        started_at=None,
        finished_at=None,
        last_attempted_at=None,
        args=list(package["args"]),
        kwargs=dict(package["kwargs"]),
        backend=alias,
        errors=[],
        worker_ids=[],
    )


def running_result(family: Family, task: Any, alias: str, package: TaskPackage) -> Any:
    """Give the result of a task whose run begins here and now."""
    result = ready_result(family, task, alias, package)
    earlier = attempts_of(package["id"]) if package.get("attempt", 1) > 1 else []
    now = timezone.now()
    return with_values(
        result,
        status=family.base.TaskResultStatus.RUNNING,
        enqueued_at=package["started"],
        started_at=earlier[0].started if earlier else now,
        last_attempted_at=now,
        errors=_errors(family, earlier),
        worker_ids=[*_workers(earlier), worker_name()],
    )


def ended_result(family: Family, task: Any, alias: str, outcome: Outcome) -> Any:
    """Give the result of a task whose last run has ended here."""
    result = running_result(family, task, alias, outcome.package)
    statuses = family.base.TaskResultStatus
    changes: dict[str, Any] = {
        "status": statuses.SUCCESSFUL if outcome.success else statuses.FAILED,
        "last_attempted_at": outcome.started,
        "finished_at": outcome.stopped,
    }
    if not result.errors:
        changes["started_at"] = outcome.started
    if outcome.success:
        changes["_return_value"] = outcome.result
    else:
        changes["errors"] = [*result.errors, _error(family, _path_of(outcome), outcome.result)]
    return with_values(result, **changes)


def result_of_row(family: Family, task: Any, alias: str, row: Task) -> Any:
    """Give the result of a task that has ended."""
    earlier = attempts_of(row.id) if row.attempt_count > 1 else []
    statuses = family.base.TaskResultStatus
    errors = _errors(family, earlier)
    if not row.success:
        errors.append(_error(family, row.error or _path_of_cause(row.cause), row.result))
    result = family.base.TaskResult(
        task=task,
        id=row.id,
        status=statuses.SUCCESSFUL if row.success else statuses.FAILED,
        enqueued_at=row.enqueued,
        started_at=earlier[0].started if earlier else row.started,
        finished_at=row.stopped,
        last_attempted_at=row.started,
        args=list(row.args or ()),
        kwargs=dict(row.kwargs or {}),
        backend=alias,
        errors=errors,
        worker_ids=[*_workers(earlier), *([row.worker] if row.worker else [])],
    )
    return with_values(result, _return_value=row.result) if row.success else result


def result_of_tracked(family: Family, task: Any, alias: str, row: Tracked) -> Any:
    """Give the result of a task that has not ended."""
    attempts = attempts_of(row.id) if row.attempt > 1 else []
    statuses = family.base.TaskResultStatus
    is_running = row.state == Tracked.State.RUNNING
    started = [attempt.started for attempt in attempts]
    if is_running and row.started:
        started.append(row.started)
    return family.base.TaskResult(
        task=task,
        id=row.id,
        status=statuses.RUNNING if is_running else statuses.READY,
        enqueued_at=row.enqueued,
        started_at=started[0] if started else None,
        finished_at=None,
        last_attempted_at=started[-1] if started else None,
        args=list(open_value(row.args) or ()),
        kwargs=dict(open_value(row.kwargs) or {}),
        backend=alias,
        errors=_errors(family, attempts),
        worker_ids=[*_workers(attempts), *([row.worker] if is_running and row.worker else [])],
    )


def with_values(result: Any, **values: Any) -> Any:
    """Set values of a result in place, which is frozen for its users, and give it."""
    for name, value in values.items():
        object.__setattr__(result, name, value)
    return result


def _path_of(outcome: Outcome) -> str:
    """Give the dotted path of what a failed run raised, or of what stands for it."""
    if outcome.error is None:
        return _path_of_cause(outcome.cause)
    return function_path(type(outcome.error))


def _path_of_cause(cause: str | None) -> str:
    return function_path(_STANDS_FOR.get(cause or "", TaskFailed))


def _errors(family: Family, attempts: Sequence[Attempt]) -> list[Any]:
    return [_error(family, attempt.error, attempt.traceback) for attempt in attempts]


def _error(family: Family, path: str, text: Any) -> Any:
    """Make an error of our text, `"<message> : <traceback>"`."""
    _, mark, frames = str(text).partition(" : Traceback")
    traceback = f"Traceback{frames}" if mark else str(text)
    return family.base.TaskError(exception_class_path=path, traceback=traceback)


def _workers(attempts: Sequence[Attempt]) -> list[str]:
    return [attempt.worker or "" for attempt in attempts]
