"""A task as a dict, what follows it, and the outcome of one run. Built by producers."""

import enum
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypedDict

from django.utils import timezone

from django_q import humanhash
from django_q.effect_options import check_effect
from django_q.functions import LONGEST_PATH, check_element, check_function
from django_q.options import CALLBACKS, check_options, travelling
from django_q.order_options import settle_order


class TaskPackage(TypedDict, total=False):
    """What travels: the first six keys always, the options only where they were given."""

    id: str  # 32 hex digits
    name: str
    func: Any  # dotted path, or a callable that pickles by reference
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    started: datetime  # when it was enqueued; the name is Django Q's
    hook: Any  # dotted path or callable, called with the Task when it is done
    group: str
    save: bool
    cached: bool | int
    sync: bool
    ack_failure: bool
    timeout: float | None
    track: bool  # ours: it is to have a row in Tracked from when it is sent
    tracked: bool  # ours: its producer has made that row
    cluster: str
    chain: list[Any]
    run_at: datetime  # ours: not before
    priority: int  # ours: higher ones first, -100 to 100
    on_commit: bool | str  # ours: only until it is sent
    atomic: bool  # ours: its writes, its row and its end are one transaction
    unique: str | bool  # ours, with the six below: see limit_options
    unique_until: str | float
    unique_else: str
    concurrency_key: str
    concurrency_limit: int
    rate_limit: Any
    rate_key: str
    rate_start: float  # ours: when it may start by its rate limit, in seconds since 1970
    attempt: int  # ours: which run this is; absent for the first
    max_attempts: int  # ours, with the five below: see retries
    retry_delay: float
    backoff: Any
    jitter: float
    retry_on: Any
    give_up_on: Any
    chain_goes_on: bool  # ours: the next link runs after a failure too
    pass_result: bool  # ours: the next link is called with the result of this one
    on_success: Any  # ours, with the two below: what is called once the task has ended
    on_failure: Any
    on_timeout: Any
    has_row: bool  # ours: a part of a gathering whose result is one of its own as well
    gather: tuple[str, int]  # ours: the gathering this is a part of, and its place there
    derived: bool  # ours: it follows from another task, so it may have been sent twice
    task_backend: str  # ours: the backend of Django's task framework that sent it
    shown_as: str  # ours: the function that results name instead
    iter_count: int  # of a part of django-q2's: how many there are
    iter_cached: bool | int  # of such a part: whether the list of results goes to the cache
    # Added by the worker:
    ack_id: Any  # the receipt
    result: Any
    success: bool
    stopped: datetime


class FailureCause(enum.StrEnum):
    """Why a run failed."""

    #: The function raised, or its result could not be stored.
    ERROR = "error"
    #: It exceeded its soft or hard limit.
    TIMEOUT = "timeout"
    #: It ended its worker too often.
    DIED = "died"
    #: Its lease was lost too often.
    LOST = "lost"
    #: Somebody asked for its end.
    CANCELLED = "cancelled"


class Follower(NamedTuple):
    """A sealed package that is sent once an outcome is recorded."""

    queue: str
    payload: str
    #: Seconds it is held back.
    delay: float = 0.0
    priority: int = 0
    #: Id of the task in it.
    task_id: str = ""
    #: Its row while it waits, if it is followed from when it is sent: see `results.waiting`.
    row: tuple[Any, ...] = ()


class Outcome(NamedTuple):
    """The end of one run."""

    package: TaskPackage
    success: bool
    #: The function's value, or the text "<error> : <traceback>".
    result: Any
    started: datetime
    stopped: datetime
    #: What the function raised; None after a success and after a death.
    error: BaseException | None = None
    #: Why it failed; None after a success.
    cause: FailureCause | None = None
    #: Seconds until the task is run again; None where this outcome is the final one.
    again_in: float | None = None


def build_package(
    func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], options: Mapping[str, Any]
) -> TaskPackage:
    """Make the package of one task; `options` are keys of TaskPackage, and `task_name`.

    Raises PackageError for a function that no worker could find, for labels that are too long and
    for options that mean nothing.
    """
    called = func
    # What a decorator made of a function, and a task of Django's framework, travel by their path.
    func = getattr(func, "module_path", func)
    check_function("func", func)
    name, task_id = humanhash.uuid()
    package: dict[str, Any] = {
        "id": task_id,
        "name": name,
        "func": func,
        "args": tuple(args),
        "kwargs": dict(kwargs),
        "started": timezone.now(),
    }
    if options:
        _add(package, options, called)
    return package  # type: ignore[return-value]


def build_packages(
    func: Any,
    calls: Sequence[tuple[Any, ...]],
    kwargs: Mapping[str, Any],
    options: Mapping[str, Any],
) -> list[TaskPackage]:
    """Make what `build_package` makes of each of some calls; all have one moment.

    What is the same for all is looked at once. Raises as it does.
    """
    if not calls:
        return []
    alike: Any = build_package(func, (), kwargs, options)
    given = options.get("task_name") and alike["name"]
    packages: list[Any] = [
        {**alike, "id": id, "name": given or name, "args": tuple(args), "kwargs": dict(kwargs)}
        for args, (name, id) in zip(calls, humanhash.uuids(len(calls)), strict=True)
    ]
    return packages


def _add(package: dict[str, Any], options: Mapping[str, Any], called: Any) -> None:
    """Put options into a package. Raises PackageError for those that mean nothing."""
    package |= options
    package["name"] = str(package.pop("task_name", None) or package["name"])
    if package.get("hook") is not None:
        check_element("hook", package["hook"])
    for role in CALLBACKS:
        if package.get(role) is not None:
            package[role] = travelling(package[role])
            check_element(role, package[role])
    check_options(package)
    check_effect(package, called)
    settle_order(package)


def derived_id(parent: str, position: int | str) -> str:
    """Give the id of a task that follows from another: always the same for the same parent.

    It begins as its parent's, with a time, so that it stands near by in indexes: a UUID of
    version 8 (RFC 9562, 5.8).
    """
    id = uuid.UUID(parent)
    return f"{id.hex[:12]}8{uuid.uuid5(id, str(position)).hex[13:]}"


def function_path(func: Any) -> str:
    """Give the dotted path of a function, as results show it. Raises nothing."""
    if isinstance(func, str):
        return func
    try:
        name, module = getattr(func, "__qualname__", None), getattr(func, "__module__", None)
        path = repr(func) if name is None else f"{module}.{name}" if module else str(name)
    except Exception:  # code of the callable's class
        path = f"{type(func).__module__}.{type(func).__qualname__}"
    return path[:LONGEST_PATH]
