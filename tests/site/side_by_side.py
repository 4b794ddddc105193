"""Task functions that run side by side with others, in threads or on a loop."""

import asyncio
import contextlib
import os
import threading
import time
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connections

from django_q.exceptions import TimeoutException
from django_q.models import Task
from django_q.tasks import current_task
from tests.site.tasks import write


async def doze(seconds: float) -> float:
    """Take a while, as a coroutine."""
    await asyncio.sleep(seconds)
    return seconds


async def record_dozing(path: str, token: object, seconds: float) -> object:
    """As `tests.site.tasks.record`, as a coroutine."""
    write(path, f"start {token} {os.getpid()}")
    await asyncio.sleep(seconds)
    write(path, f"end {token} {os.getpid()}")
    return token


def step(count: int) -> None:
    """Sleep in short steps, between which an exception can come."""
    for _ in range(count):
        time.sleep(0.01)


async def doze_deaf() -> None:
    """Swallow every cancellation."""
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(600)


def step_politely(path: str) -> str:
    """Tidy up at the soft limit, and end well."""
    try:
        step(60_000)
    except TimeoutException as error:
        write(path, f"tidied up {error}")
    return "in the end"


def whereabouts() -> tuple[int, int]:
    """Give pid and thread."""
    time.sleep(0.05)
    return os.getpid(), threading.get_ident()


async def whereabouts_of_coroutine() -> tuple[int, int, int]:
    """Give pid, thread, and the loop."""
    await asyncio.sleep(0.05)
    return os.getpid(), threading.get_ident(), id(asyncio.get_running_loop())


async def count_results() -> tuple[int, bool]:
    """Ask the database, in both of Django's ways."""
    count = await Task.objects.acount()
    return count, await sync_to_async(has_connection)()


def has_connection() -> bool:
    """Tell whether this thread is connected to the database of the results."""
    return connections[Task.objects.db].connection is not None


def connection_is_fresh() -> bool:
    """Tell whether this thread has no connection yet; then it has one."""
    is_fresh = not has_connection()
    Task.objects.count()
    return is_fresh


async def leave_something() -> str:
    """Leave work on the loop that has not ended."""
    leave_something.kept = asyncio.create_task(asyncio.sleep(600))  # type: ignore[attr-defined]
    return "left"


async def cancel_all() -> Any:
    """Cancel every task of the loop, this one too."""
    for task in asyncio.all_tasks():
        task.cancel()
    await asyncio.sleep(600)


def tell_id() -> list[str]:
    """Give the id of this task, before and after a pause."""
    before = _own_id()
    time.sleep(0.02)
    return [before, _own_id()]


async def tell_id_later() -> list[str]:
    """The same, as a coroutine; the second time in another thread."""
    before = _own_id()
    await asyncio.sleep(0.02)
    return [before, await sync_to_async(_own_id)()]


def _own_id() -> str:
    task = current_task()
    return "" if task is None else task.id
