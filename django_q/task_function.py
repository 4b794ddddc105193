"""The decorators `task` and `periodic`: a function with the options of its tasks beside it.

Decorating only defines: nothing is sent, registered or written.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Generic, NamedTuple, ParamSpec, TypedDict, TypeVar, Unpack, overload

from asgiref.sync import sync_to_async
from django.utils.module_loading import import_string

from django_q.enqueue import async_tasks, enqueue_call
from django_q.exceptions import PackageError
from django_q.options import OPTIONS, take_options

Given = ParamSpec("Given")
Result = TypeVar("Result")


#: Options of `async_task` that only make sense in one call.
NOT_OF_A_FUNCTION = frozenset({"broker", "chain", "gather", "iter_count", "iter_cached"})


class TaskOptions(TypedDict, total=False):
    """The options of a task, as `async_task` has them, for `task` and `using`."""

    hook: Any
    group: str | None
    save: bool | None
    sync: bool | None
    cached: bool | float | None
    ack_failure: bool | None
    timeout: float | None
    cluster: str | None
    task_name: str | None
    track: bool | None
    on_success: Any
    on_failure: Any
    on_timeout: Any
    on_commit: bool | str | None
    atomic: bool | None
    max_attempts: int | None
    retry_delay: float | None
    backoff: Any
    jitter: float | None
    retry_on: Any
    give_up_on: Any
    delay: float | timedelta | None
    run_at: datetime | None
    priority: int | None
    unique: str | bool | None
    unique_until: str | float | None
    unique_else: str | None
    concurrency_key: str | None
    concurrency_limit: int | None
    rate_limit: Any
    rate_key: str | None


class Period(NamedTuple):
    """When a function is called, and with what: an entry as in `Q_CLUSTER["schedules"]`."""

    #: None: the function's path.
    name: str | None
    values: Mapping[str, Any]


class TaskFunction(Generic[Given, Result]):
    """A function that can be sent to a cluster; calling it still calls it, here and now."""

    def __init__(
        self,
        function: Callable[Given, Result],
        options: Mapping[str, Any],
        periods: tuple[Period, ...] = (),
    ) -> None:
        if not callable(function):
            raise TypeError(
                f"{function!r} is not a function. A task of Django's framework is planned with "
                'schedule(), or by its path in Q_CLUSTER["schedules"].'
            )
        functools.update_wrapper(self, function)
        self._function = function
        #: What producers take where a call does not say otherwise.
        self.task_options = dict(options)
        #: When it is called by schedules, as declared beside it.
        self.periods = periods

    def __call__(self, *args: Given.args, **kwargs: Given.kwargs) -> Result:
        """Call the function in place."""
        return self._function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<task {self._function.__module__}.{self._function.__qualname__}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        """Travel by path, as functions do; a copy made by `using` with its options."""
        path = self.module_path
        if _at(path) is self:
            return str(self._function.__qualname__)
        return _copy_of, (path, self.task_options)

    @property
    def module_path(self) -> str:
        """The dotted path by which workers find it. Raises PackageError for an inner function."""
        path = f"{self._function.__module__}.{self._function.__qualname__}"
        if "<locals>" in path:
            raise PackageError(
                f"{path!r} is inside another function, where no worker finds it. Move it to the "
                "top level of a module."
            )
        return path

    def enqueue(self, *args: Given.args, **kwargs: Given.kwargs) -> str:
        """Hand the call to the cluster; gives the task's id. Raises as `async_task`."""
        return enqueue_call(self, args, kwargs, take_options({}, self))

    async def aenqueue(self, *args: Given.args, **kwargs: Given.kwargs) -> str:
        """As `enqueue`, without blocking the event loop."""
        return await sync_to_async(self.enqueue)(*args, **kwargs)

    def enqueue_many(self, args_iter: Iterable[Any]) -> list[str]:
        """Hand one call for each element to the cluster, in few calls to the broker; their ids.

        An element is a tuple of positional arguments, or else the one argument.
        """
        return async_tasks(self, args_iter)

    async def aenqueue_many(self, args_iter: Iterable[Any]) -> list[str]:
        """As `enqueue_many`, without blocking the event loop."""
        return await sync_to_async(self.enqueue_many)(args_iter)

    def using(self, **options: Unpack[TaskOptions]) -> "TaskFunction[Given, Result]":
        """Give a copy with other options; the rest stays. Raises TypeError for an unknown one."""
        changed = {**self.task_options, **_known("using", options)}
        return TaskFunction(self._function, changed, self.periods)

    def with_period(self, period: Period) -> "TaskFunction[Given, Result]":
        """Give a copy that is also called by a schedule."""
        return TaskFunction(self._function, self.task_options, (*self.periods, period))

    def bound_to_package(self, package: Mapping[str, Any]) -> Callable[Given, Result]:
        """Give what a worker calls: the bare function, which may be `async def`."""
        return self._function


def _at(path: str) -> Any:
    try:
        return import_string(path)
    except ImportError:
        return None


def _copy_of(path: str, options: Mapping[str, Any]) -> Any:
    """Make a copy anew where it has travelled to."""
    found = import_string(path)
    return TaskFunction(found._function, options, found.periods)


@overload
def task(function: Callable[Given, Result], /) -> TaskFunction[Given, Result]: ...


@overload
def task(
    **options: Unpack[TaskOptions],
) -> Callable[[Callable[Given, Result]], TaskFunction[Given, Result]]: ...


def task(function: Any = None, /, **options: Any) -> Any:
    """Make a function a task, with options for every time it is sent: `@task(timeout=60)`.

    Raises TypeError for a keyword that is no option of a task.
    """
    _known("task", options)
    if function is not None:
        return TaskFunction(function, options)
    return functools.partial(_decorated, options=options)


def _decorated(function: Callable[..., Any], options: Mapping[str, Any]) -> Any:
    return TaskFunction(function, options)


def periodic(  # noqa: PLR0913, each is a keyword that says when
    *,
    every: timedelta | int | None = None,
    cron: str | None = None,
    name: str | None = None,
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    catch_up: bool | None = None,
    intended_date_kwarg: str | None = None,
) -> Callable[[Callable[Given, Result]], TaskFunction[Given, Result]]:
    """Have a function called again and again: `@periodic(every=timedelta(minutes=5))`.

    `every` is a time of whole seconds, `cron` a cron expression: one of the two. The schedule's
    `name` is the function's path where nothing else is given. It is made, changed, and disabled
    with its declaration when a cluster starts, for functions that are found in the module `tasks`
    of an installed app. Stands above `@task`, whose options count, or alone.
    """
    if (every is None) == (cron is None):
        raise TypeError("periodic() needs every or cron, one of the two.")
    values: dict[str, Any] = {"args": args, "kwargs": dict(kwargs or {})}
    values |= {"cron": cron} if every is None else {"seconds": _whole_seconds(every)}
    values["schedule_type"] = "cron" if every is None else "seconds"
    said = {"catch_up": catch_up, "intended_date_kwarg": intended_date_kwarg}
    values |= {key: value for key, value in said.items() if value is not None}
    period = Period(name, values)

    def decorate(function: Callable[Given, Result]) -> TaskFunction[Given, Result]:
        known = isinstance(function, TaskFunction)
        made = function if known else TaskFunction(function, {})
        return made.with_period(period)  # type: ignore[attr-defined, no-any-return]

    return decorate


def _whole_seconds(every: timedelta | int) -> int:
    seconds = every.total_seconds() if isinstance(every, timedelta) else every
    if isinstance(every, bool) or not seconds >= 1 or seconds != int(seconds):
        raise ValueError(f"every is {every!r}: give whole seconds, at least 1, or a timedelta.")
    return int(seconds)


def _known(where: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in options:
        if name not in OPTIONS or name in NOT_OF_A_FUNCTION:
            names = ", ".join(key for key in OPTIONS if key not in NOT_OF_A_FUNCTION)
            raise TypeError(f"{where}() got {name!r}, which is no option of a task: {names}.")
    return options
