"""The task class of our backends: a framework's `Task` that also has the options of our tasks."""

import dataclasses
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Self

from django.utils import timezone

from django_q.options import OPTIONS

#: Options that a framework's task has in another way, or that only make sense in a call.
_NOT_OFFERED = frozenset(
    {
        *("cluster", "priority", "delay", "run_at", "track", "sync", "broker", "task_name"),
        *("chain", "gather", "iter_count", "iter_cached"),
    }
)
#: Options of `async_task` that `@task(...)`, `using(...)` and a backend's OPTIONS take.
TASK_OPTIONS = tuple(name for name in OPTIONS if name not in _NOT_OFFERED)


class TaskPart:
    """What our task class adds: options as fields, and `using` that knows them."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Show what is not as the class has it."""
        said = ", ".join(
            f"{field.name}={getattr(self, field.name)!r}"
            for field in dataclasses.fields(self)  # type: ignore[arg-type]
            if field.name == "func" or getattr(self, field.name) != field.default
        )
        return f"{type(self).__name__}({said})"

    @property
    def task_options(self) -> dict[str, Any]:
        """The options of our task, where `async_task`, a schedule or a chain is given this one."""
        given: dict[str, Any] = self.get_backend().options_for(self)  # type: ignore[attr-defined]
        return given

    def using(self, **changes: Any) -> Self:
        """Give a copy with other values: those of the framework, and the options of a task.

        `run_after` may be a timedelta: so long after each enqueue. Raises TypeError for a name
        that is none of them.
        """
        known = {field.name for field in dataclasses.fields(self)}  # type: ignore[arg-type]
        if unknown := set(changes) - (known - {"func", "takes_context"}):
            raise TypeError(f"using() got the unexpected keyword {min(unknown)!r}")
        given = {name: value for name, value in changes.items() if value is not None}
        return dataclasses.replace(self, **frozen(given))  # type: ignore[type-var]


def task_class(base: Any, module: str) -> Any:
    """Make the task class over the framework's `Task`; it pickles by its place in `module`."""
    made = dataclasses.make_dataclass(
        "DjangoQTask",
        [(name, Any, dataclasses.field(default=None)) for name in TASK_OPTIONS],
        bases=(TaskPart, base),
        namespace={
            "__doc__": "A task of Django's framework, with the options of a task of ours.",
            "__post_init__": _check_made,
        },
        repr=False,
        frozen=True,
        slots=True,
        kw_only=True,
    )
    made.__module__ = module
    return made


def _check_made(task: Any) -> None:
    for name, value in frozen(options_of(task)).items():
        object.__setattr__(task, name, value)
    task.get_backend().validate_task(task)


def frozen(values: Mapping[str, Any]) -> dict[str, Any]:
    """Give the values with lists as tuples: a task can be a key."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


def options_of(task: Any) -> dict[str, Any]:
    """Give the options that were set on a task, whatever class it is of."""
    values = {name: getattr(task, name, None) for name in TASK_OPTIONS}
    return {name: value for name, value in values.items() if value is not None}


def with_fields(task: Any, **changes: Any) -> Any:
    """Give a copy of a task with other fields, unchecked: what was sent is a fact."""
    copy = object.__new__(type(task))
    for field in dataclasses.fields(task):
        value = changes.get(field.name, getattr(task, field.name))
        object.__setattr__(copy, field.name, value)
    return copy


def due(run_after: datetime | timedelta | None) -> datetime | None:
    """Give the moment before which a task is not run."""
    if isinstance(run_after, timedelta):
        now = timezone.now()
        return now + run_after
    return run_after
