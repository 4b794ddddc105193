"""Runs one opened package: find the function, call it within its limit, tell the outcome.

Runs in a worker's main thread, or in place with `sync=True`. The one broad catch around user code.
"""

import asyncio
import contextlib
import inspect
import signal
import traceback
import types
from collections.abc import Callable, Iterator
from typing import Any

from django.conf import settings as django_settings
from django.db import close_old_connections, reset_queries
from django.dispatch import Signal
from django.utils import timezone
from django.utils.module_loading import import_string

from django_q import signals
from django_q.conf import Conf, logger
from django_q.exceptions import PackageError, TimeoutException
from django_q.options import LONGEST_TIME
from django_q.package import FailureCause, Outcome, TaskPackage, function_path
from django_q.reporters import error_reporter

#: Seconds the error reporters may take: one that sends over a slow network, not one that hangs.
_REPORT_TIME = 10.0


class SoftLimit:
    """Raises TimeoutException in the main thread when code runs too long.

    Uses SIGALRM and the real-time timer of this process, one limit at a time. The exception comes
    only while the guarded code is on the stack.
    """

    def __init__(self) -> None:
        self._is_armed = False
        self._text = ""
        self._handler = self._on_alarm

    @contextlib.contextmanager
    def within(self, limit: float | None, what: str) -> Iterator[None]:
        """Guard the block; `limit` in seconds, None for none. `what` begins the error's text."""
        if limit is None:
            yield
            return
        self._text = f"{what} ran longer than its limit of {limit:g} s"
        # A task may have taken the handler for itself, or blocked the signal. Looking is cheaper
        # than setting both each time (measured: 4 us instead of 11 for the whole limit).
        if signal.getsignal(signal.SIGALRM) != self._handler:
            signal.signal(signal.SIGALRM, self._handler)
        if signal.SIGALRM in signal.pthread_sigmask(signal.SIG_BLOCK, ()):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
        try:
            self._is_armed = True
            signal.setitimer(signal.ITIMER_REAL, max(limit, 1e-6))
            yield
        finally:
            self._is_armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _on_alarm(self, number: int, frame: types.FrameType | None) -> None:
        if self._is_armed:
            self._is_armed = False
            raise TimeoutException(self._text)


class NoLimit(SoftLimit):
    """For tasks that run in place: their process has its own use for SIGALRM."""

    @contextlib.contextmanager
    def within(self, limit: float | None, what: str) -> Iterator[None]:
        """Guard nothing."""
        yield


def time_limit(package: TaskPackage) -> float | None:
    """Give the soft limit of a task in seconds, or None: its own, else the cluster's."""
    limit = package.get("timeout", Conf.TIMEOUT)
    # Whatever an old package or a receiver of pre_enqueue put there must not hurt the worker.
    if not isinstance(limit, (int, float)) or isinstance(limit, bool):
        return None
    return float(limit) if 0 < limit <= LONGEST_TIME else None


def execute(package: TaskPackage, soft_limit: SoftLimit) -> Outcome:
    """Run a package to its outcome. Raises nothing: what the task raises is a failure."""
    started = timezone.now()
    try:
        result = _run(package, soft_limit)
    except BaseException as error:  # whatever a task raises, SystemExit too, only fails the task
        ended = timezone.now()
        outcome = Outcome(package, False, error_text(error), started, ended, error, _cause(error))
        _report(package, soft_limit)
        return outcome
    return Outcome(package, True, result, started, timezone.now())


def _cause(error: BaseException) -> FailureCause:
    is_late = isinstance(error, TimeoutException)
    return FailureCause.TIMEOUT if is_late else FailureCause.ERROR


def _run(task: TaskPackage, soft_limit: SoftLimit) -> Any:
    # The package is called `task` here for django-q-sentry: it goes through the frames of an error
    # and tells of the task that it finds under that name.
    func = find_function(task["func"])
    with soft_limit.within(time_limit(task), "The task"):
        send_signal(signals.pre_execute, func=func, task=task)
        result = func(*task["args"], **task["kwargs"])
        return asyncio.run(result) if inspect.iscoroutine(result) else result


def _report(package: TaskPackage, soft_limit: SoftLimit) -> None:
    """Tell the error reporters of the error that is being handled."""
    if not error_reporter:
        return
    # A task that used up its time has only `grace` left until the worker is killed.
    limit = _REPORT_TIME if time_limit(package) is None else min(_REPORT_TIME, Conf.GRACE / 2)
    try:
        with soft_limit.within(limit, "The error reporter"):
            error_reporter.report()
    except BaseException:  # code of a package that somebody installed
        logger.exception("The error of %s [%s] cannot be reported", package["name"], package["id"])


def announce_executed(outcome: Outcome, soft_limit: SoftLimit) -> None:
    """Send `post_execute_in_worker`, with the package as Django Q shows it, within the limit."""
    if not signals.post_execute_in_worker.receivers:
        return
    package = finished_package(outcome)
    func = package["func"]
    with contextlib.suppress(Exception):
        func = find_function(func)
    with guarded(soft_limit, package, "post_execute_in_worker"):
        send_signal(signals.post_execute_in_worker, func=func, task=package)


def finished_package(outcome: Outcome) -> TaskPackage:
    """Give the package with `result`, `success` and `stopped`, as signals and reporters see it."""
    ended = {"result": outcome.result, "success": outcome.success, "stopped": outcome.stopped}
    return outcome.package | ended  # type: ignore[return-value]


@contextlib.contextmanager
def guarded(soft_limit: SoftLimit, package: TaskPackage, what: str) -> Iterator[None]:
    """Run user code beside the task (hook, receiver): limited as the task, logged if it raises."""
    try:
        with soft_limit.within(time_limit(package), what):
            yield
    except BaseException:  # user code: nothing it raises may reach the worker
        logger.exception("%s of %s [%s] raised", what, package["name"], package["id"])


def send_signal(sent: Signal, sender: Any = "django_q", **arguments: Any) -> None:
    """Send a signal; a receiver that raises is logged and hurts nothing."""
    if not sent.receivers:
        return
    for receiver, answer in sent.send_robust(sender=sender, **arguments):
        if isinstance(answer, Exception):
            name = function_path(receiver)
            logger.error("The signal receiver %s raised", name, exc_info=answer)


def find_function(func: str | Callable[..., Any]) -> Callable[..., Any]:
    """Give the callable behind a dotted path. Raises PackageError when there is none.

    Not remembered: it takes less than a microsecond, and tests put others in its place.
    """
    if not isinstance(func, str):
        return func
    try:
        found: Callable[..., Any] = _import_path(func)
    except (ImportError, AttributeError, ValueError) as error:
        raise PackageError(f"The function {func!r} cannot be found: {error}") from error
    if not callable(found):
        raise PackageError(f"{func!r} is a {type(found).__name__}, not a function.")
    return found


def _import_path(path: str) -> Any:
    """Import `package.module.function`, or `package.module.Class.method`."""
    try:
        return import_string(path)
    except ImportError:
        owner, _, attribute = path.rpartition(".")
        if "." not in owner:
            raise
        try:
            return getattr(import_string(owner), attribute)
        except ImportError:
            pass
        raise


def error_text(error: BaseException) -> str:
    """Give `"<error> : <traceback>"`, the result of a failed task, without our own frames."""
    message = _message(error)
    try:
        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_globals.get("__name__") == __name__:
            frames = frames.tb_next
        lines = traceback.format_exception(type(error), error, frames or error.__traceback__)
        return f"{message} : {''.join(lines)}"
    except BaseException as failure:  # formatting runs the error's own __str__
        return f"{message} : its traceback cannot be shown ({type(failure).__name__})"


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # a failing __str__ must not hide which error it was
        return type(error).__name__


def close_connections() -> None:
    """Leave the database connections of this thread as after a request."""
    close_old_connections()
    if django_settings.DEBUG:
        reset_queries()
