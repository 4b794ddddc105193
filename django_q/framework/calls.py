"""What a worker calls for a task of the framework. User code: in the worker's main thread."""

import inspect
from collections.abc import Callable
from typing import Any

from django_q.executor import send_signal
from django_q.framework.family import Family
from django_q.framework.results import ended_result, running_result
from django_q.package import Outcome, TaskPackage


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
        the task's path does not say so.
        """
        package.setdefault("task_backend", self._backend.alias)
        task, family = self._task, self._family

        def begin(args: tuple[Any, ...]) -> tuple[Any, ...]:
            result = running_result(family, task, package["task_backend"], package)
            send_signal(family.signals.task_started, type(self._backend), task_result=result)
            if task.takes_context:
                return (family.base.TaskContext(task_result=result), *args)
            return args

        def run(*args: Any, **kwargs: Any) -> Any:
            return family.base.normalize_json(task.func(*begin(args), **kwargs))

        async def await_it(*args: Any, **kwargs: Any) -> Any:
            return family.base.normalize_json(await task.func(*begin(args), **kwargs))

        return await_it if inspect.iscoroutinefunction(task.func) else run

    def ended(self, outcome: Outcome) -> None:
        """Tell the receivers of `task_finished` that the last run has ended."""
        alias = outcome.package["task_backend"]
        result = ended_result(self._family, self._task, alias, outcome)
        error = outcome.error
        if error is None:
            self._send_finished(result)
            return
        frames = error.__traceback__
        try:
            # The framework's own receiver logs the exception that is being handled.
            raise error
        except BaseException:
            self._send_finished(result)
        finally:
            error.__traceback__ = frames

    def _send_finished(self, result: Any) -> None:
        send_signal(self._family.signals.task_finished, type(self._backend), task_result=result)
