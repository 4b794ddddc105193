"""Runs tasks that are coroutines, many on one event loop.

Each is called with a thread of its own for what it hands to `sync_to_async`, as a request is under
ASGI: so its database connection is its own, and is closed when it ends. What must not run on a
loop (receivers, error reporters, pickling) is the worker's to do, before and after.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.db import connections
from django.utils import timezone

from django_q import signals
from django_q.current import CurrentTask, enter, leave
from django_q.exceptions import TaskCancelled, TimeoutException
from django_q.executor import failure, guarded, see_to, send_signal, time_limit
from django_q.functions import function_of
from django_q.package import Outcome, TaskPackage
from django_q.run import Run
from django_q.soft_limit import SoftLimit


def coroutine_function(package: TaskPackage) -> Callable[..., Awaitable[Any]] | None:
    """Give the function of a task if it is an `async def`; None for others, and for none."""
    try:
        func = function_of(package)
    except BaseException:  # importing is user code; the executor tells of it
        return None
    return func if inspect.iscoroutinefunction(func) else None


def announce_start(func: Callable[..., Any], package: TaskPackage, soft_limit: SoftLimit) -> None:
    """Send `pre_execute`, within the limit of the task. Not on the loop: receivers may block."""
    if signals.pre_execute.receivers:
        with guarded(soft_limit, package, "pre_execute"):
            send_signal(signals.pre_execute, func=func, task=package)


async def execute_coroutine(
    func: Callable[..., Awaitable[Any]], task: TaskPackage, run: Run
) -> Outcome:
    """Run a task to its outcome, on the loop. Raises nothing.

    A failure is left to `see_to`, which the caller calls where user code may block.
    """
    started, limit = timezone.now(), time_limit(task)
    token = enter(CurrentTask(task, started, limit, run))
    try:
        result = await _within(limit, func, task, run)
    except BaseException as error:  # whatever a task raises, only fails the task
        return failure(task, started, error)
    finally:
        leave(token)
    return Outcome(task, True, result, started, timezone.now())


async def _within(
    limit: float | None, func: Callable[..., Awaitable[Any]], task: TaskPackage, run: Run
) -> Any:
    if run.is_cancelled:
        raise TaskCancelled
    try:
        async with asyncio.timeout(limit) as scope, ThreadSensitiveContext() as context:
            try:
                return await func(*task["args"], **task["kwargs"])
            finally:
                if context in SyncToAsync.context_to_thread_executor:
                    await sync_to_async(connections.close_all)()
    except TimeoutError as error:
        if not scope.expired():
            raise
        text = f"The task ran longer than its limit of {limit:g} s"
        raise TimeoutException(text) from error
    except asyncio.CancelledError as error:
        if run.is_cancelled:
            raise TaskCancelled from error
        raise


def see_to_failure(outcome: Outcome, soft_limit: SoftLimit) -> Outcome:
    """See to the failure of a coroutine, where user code may block."""
    assert outcome.error is not None
    frames = outcome.error.__traceback__
    try:
        # Reporters ask for the error that is being handled.
        raise outcome.error
    except BaseException:
        return see_to(outcome, soft_limit)
    finally:
        outcome.error.__traceback__ = frames
