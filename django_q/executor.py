"""Runs one opened package: find the function, call it within its limit, tell the outcome.

Runs in a worker's main thread, or in place with `sync=True`. The one broad catch around user code.
"""

import asyncio
import contextlib
import functools
import traceback
import types
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime
from typing import Any

from django.dispatch import Signal

from django_q import signals
from django_q.conf import Conf, logger
from django_q.current import CurrentTask, enter, leave
from django_q.effect_options import PLAIN
from django_q.exceptions import PackageError, TaskCancelled, TimeoutException
from django_q.functions import find_function, function_of
from django_q.options import LONGEST_TIME
from django_q.package import FailureCause, Outcome, TaskPackage, function_path
from django_q.reporters import error_reporter
from django_q.retries import decide
from django_q.run import Run
from django_q.soft_limit import SoftLimit

#: Seconds the error reporters may take: one that sends over a slow network, not one that hangs.
_REPORT_TIME = 10.0
#: Modules whose frames an error's text leaves out where they come first.
_OWN = (
    __name__, find_function.__module__, "django_q.framework.calls", "django_q.coroutines",
    "django_q.cluster.effects",
)  # fmt: skip
#: What is done around the call of a task; gives the outcome of the call.
Around = Callable[[Callable[[], Outcome]], Outcome]
#: Seconds a project's own backoff function may take: it computes a number.
_DECISION_TIME = 1.0


class RunVoid(BaseException):
    """This run does not count: all that it did was rolled back, and nothing of it is recorded."""


def time_limit(package: TaskPackage) -> float | None:
    """Give the soft limit of a task in seconds, or None: its own, else the cluster's."""
    limit = package.get("timeout", Conf.TIMEOUT)
    # Whatever an old package or a receiver of pre_enqueue put there must not hurt the worker.
    if not isinstance(limit, (int, float)) or isinstance(limit, bool):
        return None
    return float(limit) if 0 < limit <= LONGEST_TIME else None


def execute(
    package: TaskPackage,
    soft_limit: SoftLimit,
    run: Run | None = None,
    *,
    in_place: bool = False,
    around: Around | None = None,
) -> Outcome:
    """Run a package to its outcome. What the task raises is a failure; only RunVoid comes out.

    What `around` raises, which is given the call of the task, is a failure as well. In place there
    is no limit, and no other run.
    """
    started = _now()
    limit = time_limit(package)
    token = enter(CurrentTask(package, started, None if in_place else limit, run))
    try:
        if around is None:
            return _run(package, soft_limit, started, limit)
        return around(functools.partial(_run, package, soft_limit, started, limit))
    except RunVoid:
        raise
    except BaseException as error:  # whatever a task raises, SystemExit too, only fails the task
        return see_to(failure(package, started, error), soft_limit, in_place=in_place)
    finally:
        leave(token)


def _now() -> datetime:
    """Give what `timezone.now` gives, which looks it up in Django's settings each time."""
    return datetime.now(UTC if Conf.USE_TZ else None)


def failure(package: TaskPackage, started: datetime, error: BaseException) -> Outcome:
    """Give the outcome of a run that raised this error."""
    text, ended = error_text(error), _now()
    return Outcome(package, False, text, started, ended, error, _cause(error))


def see_to(outcome: Outcome, soft_limit: SoftLimit, *, in_place: bool = False) -> Outcome:
    """See to a failure whose error is being handled: another run follows, or reporters are told."""
    if not in_place:
        outcome = decided(outcome, soft_limit)
    if outcome.again_in is None and outcome.cause is not FailureCause.CANCELLED:
        _report(outcome.package, soft_limit)
    return outcome


def decided(outcome: Outcome, soft_limit: SoftLimit) -> Outcome:
    """Give a failed outcome with the time until its task is run again, if it is."""
    # A task that used up its time has only `grace` left until the worker is killed.
    limit = min(_DECISION_TIME, Conf.GRACE / 4) or None
    try:
        with soft_limit.within(limit, "The backoff function"):
            return decide(outcome)
    except TimeoutException:  # it came when the decision was made
        return outcome


def _cause(error: BaseException) -> FailureCause:
    if isinstance(error, TaskCancelled):
        return FailureCause.CANCELLED
    is_late = isinstance(error, TimeoutException)
    return FailureCause.TIMEOUT if is_late else FailureCause.ERROR


def _run(
    task: TaskPackage, soft_limit: SoftLimit, started: datetime, limit: float | None
) -> Outcome:
    # The package is called `task` here for django-q-sentry: it goes through the frames of an error
    # and tells of the task that it finds under that name.
    func = function_of(task)
    with soft_limit.within(limit, "The task", task["id"]):
        if signals.pre_execute.receivers:
            send_signal(signals.pre_execute, func=func, task=task)
        result = func(*task["args"], **task["kwargs"])
        if isinstance(result, types.CoroutineType):
            result = _await(task, result)
    return Outcome(task, True, result, started, _now())


def _await(task: TaskPackage, coroutine: Coroutine[Any, Any, Any]) -> Any:
    if task.get("atomic"):
        coroutine.close()
        raise PackageError(f"atomic is True, but the task is an async function: {PLAIN}")
    return asyncio.run(coroutine)


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


def _tell_framework(outcome: Outcome, soft_limit: SoftLimit) -> None:
    """Tell Django's task framework that a task of its own has ended, within the limit."""
    package = outcome.package
    if outcome.again_in is not None:
        return
    with guarded(soft_limit, package, "A receiver of task_finished"):
        call: Any = find_function(package["func"])
        call.ended(outcome)


def announce_executed(outcome: Outcome, soft_limit: SoftLimit) -> None:
    """Send `post_execute_in_worker`, with the package as Django Q shows it, within the limit.

    To Django's task framework its own signal, after the last run.
    """
    if "task_backend" in outcome.package:
        _tell_framework(outcome, soft_limit)
    if not signals.post_execute_in_worker.receivers:
        return
    package = finished_package(outcome)
    func = package["func"]
    with contextlib.suppress(Exception):
        func = find_function(func)
    with guarded(soft_limit, package, "post_execute_in_worker"):
        send_signal(signals.post_execute_in_worker, func=func, task=package)


def announce_recorded(task: Any, backend: str) -> None:
    """Tell Django's task framework of a task of its own that ended without a worker.

    `task`: its row. Called in the process that has written it; runs user code, and raises nothing.
    """
    try:
        call: Any = find_function(task.func)
        call.recorded(task, backend)
    except Exception:  # importing the task is user code; that of receivers is caught already
        logger.exception("task_finished of %s [%s] cannot be sent", task.name, task.id)


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
            name, task = function_path(receiver), arguments.get("task")
            what = f" for {task['name']} [{task['id']}]" if task is not None else ""
            logger.error("The signal receiver %s raised%s", name, what, exc_info=answer)


def error_text(error: BaseException) -> str:
    """Give `"<error> : <traceback>"`, the result of a failed task, without our own frames."""
    message = _message(error)
    try:
        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_globals.get("__name__") in _OWN:
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
