"""A task as a dict, sealed text on the wire, and the outcome of one run.

Producers build and seal; a worker's main thread opens, since unpickling is user code.
"""

import enum
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple, TypedDict, cast

from django.utils import timezone

from django_q import humanhash, signing
from django_q.conf import Conf
from django_q.exceptions import PackageError, PackageRejected, PayloadTooLarge
from django_q.functions import LONGEST_PATH, check_element, check_function
from django_q.options import CALLBACKS, check_options, travelling
from django_q.order_options import settle_order

#: What a package must have; `func` is a dotted path or a callable.
_KINDS: dict[str, type | tuple[type, ...]] = {
    "id": str,
    "name": str,
    "args": (tuple, list),
    "kwargs": dict,
    "started": datetime,
}


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
    # What a decorator made of a function, and a task of Django's framework, travel by their path.
    func = getattr(func, "module_path", func)
    check_function("func", func)
    if options.get("hook") is not None:
        check_element("hook", options["hook"])
    for role in CALLBACKS:
        if options.get(role) is not None:
            options = {**options, role: travelling(options[role])}
            check_element(role, options[role])
    name, task_id = humanhash.uuid()
    package: dict[str, Any] = {
        "id": task_id,
        "name": str(options.get("task_name") or name),
        "func": func,
        "args": tuple(args),
        "kwargs": dict(kwargs),
        "started": timezone.now(),
    }
    package |= {key: value for key, value in options.items() if key != "task_name"}
    check_options(package)
    settle_order(package)
    return package  # type: ignore[return-value]


def seal_package(package: TaskPackage, queue: str) -> str:
    """Seal a package for a queue: text that only this project's clusters of that queue open.

    Raises PackageError that names the argument which cannot be pickled, and PayloadTooLarge for a
    package that no worker would open.
    """
    try:
        if Conf.LEGACY == "write":
            sealed = signing.SignedPackage.dumps(package)
        else:
            sealed = signing.seal(package, "task", queue)
    except Exception as error:  # pickling runs code of the arguments: anything may come out
        raise PackageError(_why_unsealable(package, error)) from error
    if len(sealed) > _largest_payload():
        path = function_path(package["func"])
        raise PayloadTooLarge(f"{path}: {_too_large(sealed)} Pass a reference to the data instead.")
    return sealed


def open_package(payload: str, queue: str) -> TaskPackage:
    """Open sealed text that came from this queue. Runs user code (unpickling).

    Raises PackageRejected with the reason when it is not a task for this queue.
    """
    try:
        package = _unseal(payload, queue)
    except signing.BadSignature as error:
        raise PackageRejected(
            f"The package's signature does not match ({_printable(error)}): it was sealed with "
            "another SECRET_KEY, project name or queue, or it was changed on its way."
        ) from error
    except PackageRejected:
        raise
    except Exception as error:  # unpickling runs any code
        raise PackageRejected(
            f"The package cannot be read: {type(error).__name__}: {_printable(error)}. "
            "Was a class or module that it needs moved or removed?"
        ) from error
    _check_opened(package)
    if Conf.PACKAGE_MAX_AGE is not None:
        _check_age(package, signing.sealed_at(payload))
    return cast(TaskPackage, package)


def derived_id(parent: str, position: int | str) -> str:
    """Give the id of a task that follows from another: always the same for the same parent."""
    return uuid.uuid5(uuid.UUID(parent), str(position)).hex


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


def _unseal(payload: str, queue: str) -> Any:
    if len(payload) > _largest_payload():
        raise PackageRejected(_too_large(payload))
    if not signing.is_legacy(payload):
        return signing.unseal(payload, "task", queue)
    if Conf.LEGACY == "off":
        raise PackageRejected(
            "The package has Django Q's format, which Q_CLUSTER[\"legacy\"] = 'off' refuses."
        )
    return signing.SignedPackage.loads(payload)


def _largest_payload() -> int:
    """Give the length of the text around the largest package: base64, time and signature."""
    return int(Conf.MAX_PACKAGE) * 4 // 3 + 256


def _too_large(payload: str) -> str:
    return (
        f"The package has {len(payload)} bytes once sealed, more than "
        f'Q_CLUSTER["max_package"] ({Conf.MAX_PACKAGE}) allows.'
    )


def _check_age(package: TaskPackage, sealed: float) -> None:
    """Count from when it was to run, or was sealed: who keeps a copy cannot send it for ever."""
    run_at = package.get("run_at")
    since = max(sealed, run_at.timestamp() if isinstance(run_at, datetime) else 0.0)
    age = timezone.now().timestamp() - since
    if age > Conf.PACKAGE_MAX_AGE:
        raise PackageRejected(
            f"The package is {age:.0f} s old, more than "
            f'Q_CLUSTER["package_max_age"] ({Conf.PACKAGE_MAX_AGE:g} s) allows.'
        )


def _check_opened(package: Any) -> None:
    if not isinstance(package, dict):
        raise PackageRejected(f"The package holds a {type(package).__name__}, not a task.")
    for key, kind in _KINDS.items():
        if not isinstance(package.get(key), kind):
            raise PackageRejected(f"The package has no usable {key!r}: {package.get(key)!r:.100}.")
    func = package.get("func")
    if not 0 < len(package["id"]) <= 32 or not (isinstance(func, str) or callable(func)):
        raise PackageRejected("The package has no usable 'id' or 'func'.")


def _why_unsealable(package: TaskPackage, error: Exception) -> str:
    """Find which part of the package cannot be pickled, or written as JSON, by trying each."""
    written = "written as JSON" if Conf.SERIALIZER == "json" else "pickled"
    parts = [(f"argument {n}", value) for n, value in enumerate(package["args"], 1)]
    parts += [(f"argument {key!r}", value) for key, value in package["kwargs"].items()]
    parts += [
        (f"option {key!r}", value)
        for key, value in package.items()
        if key not in ("args", "kwargs")
    ]
    for name, value in parts:
        try:
            signing.serialized(value)
        except Exception as cause:
            what = f"{name} ({type(value).__name__} {_short(value)})"
            return f"{function_path(package['func'])}: {what} cannot be {written}: {cause}"
    return f"{function_path(package['func'])}: the task cannot be packed: {error}"


def _printable(error: Exception) -> str:
    """Give the text of an error as every database stores it: it may quote the foreign package."""
    return str(error)[:200].encode("unicode_escape").decode()


def _short(value: Any) -> str:
    try:
        return f"{value!r:.80}"
    except Exception:  # a failing __repr__ must not hide the error it is to explain
        return "without a working repr()"
