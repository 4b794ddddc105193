"""What a worker calls for a task of the framework. User code: in the worker's main thread."""

import inspect
import types
from collections.abc import Callable
from typing import Any

from django_q.executor import send_signal
from django_q.framework.family import Family
from django_q.framework.results import ended_result, result_of_row, running_result, was_told
from django_q.models import Task
from django_q.package import FailureCause, Outcome, TaskPackage


class TaskCall:
    """A task of the framework in the place of a function, for one that is found by its path."""

    def __init__(self, task: Any, backend: Any, family: Family) -> None:
        self._task = task
        self._backend = backend
        self._family = family

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself, as in place."""
        return self._task.func(*args, **kwargs)

    def bound_to_package(self, package: TaskPackage) -> Callable[..., Any]:
        """Give the function for one run: with signals, context, and a result in JSON.

        Puts into the package, for its end, that it is of the framework: a package that was sent by
        the task's path does not say so. A coroutine has begun with this call, since receivers and
        database do not belong on its loop.
        """
        package.setdefault("task_backend", self._backend.alias)
        func, normalize_json = self._task.func, self._family.base.normalize_json

        def run(*args: Any, **kwargs: Any) -> Any:
            return normalize_json(func(*self._begin(package), *args, **kwargs))

        if not inspect.iscoroutinefunction(func):
            return run
        context = self._begin(package)

        async def await_it(*args: Any, **kwargs: Any) -> Any:
            return normalize_json(await func(*context, *args, **kwargs))

        return await_it

    def _begin(self, package: TaskPackage) -> tuple[Any, ...]:
        """Send `task_started`; gives the context, if the task takes it."""
        family = self._family
        task = self._sent(package)
        result = running_result(family, task, package["task_backend"], package)
        send_signal(family.signals.task_started, type(self._backend), task_result=result)
        is_wanted = self._task.takes_context
        return (family.base.TaskContext(task_result=result),) if is_wanted else ()

    def ended(self, outcome: Outcome) -> None:
        """Tell the receivers of `task_finished` that the last run has ended."""
        package = outcome.package
        if outcome.cause is FailureCause.CANCELLED and was_told(package["id"]):
            return
        task, alias = self._sent(package), package["task_backend"]
        result = ended_result(self._family, task, alias, outcome)
        error = outcome.error
        if error is None:
            self._send_finished(result)
            return
        frames = error.__traceback__
        try:
            # The framework's own receiver logs the exception that is being handled.
            raise error.with_traceback(_without_ours(frames))
        except BaseException:
            self._send_finished(result)
        finally:
            error.__traceback__ = frames

    def recorded(self, row: Task, alias: str) -> None:
        """Tell them of an end that no worker has seen."""
        task = self._backend.as_sent(self._task, alias, row.cluster, row.priority, row.run_at)
        self._send_finished(result_of_row(self._family, task, alias, row))

    def _sent(self, package: TaskPackage) -> Any:
        """Give the task as this package was sent."""
        order = (package.get("cluster"), package.get("priority"), package.get("run_at"))
        return self._backend.as_sent(self._task, package["task_backend"], *order)

    def _send_finished(self, result: Any) -> None:
        send_signal(self._family.signals.task_finished, type(self._backend), task_result=result)


def _without_ours(frames: types.TracebackType | None) -> types.TracebackType | None:
    """Leave out the frames of this package where they come first."""
    own = frames
    while own is not None and own.tb_frame.f_globals.get("__name__", "").startswith("django_q."):
        own = own.tb_next
    return own or frames
