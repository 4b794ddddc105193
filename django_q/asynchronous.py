"""The calls of `django_q.tasks` for code in an event loop: they wait without blocking it.

Each call of the database or broker runs in the thread that asgiref keeps for such things; while
there is nothing to look at, no thread is held.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from asgiref.sync import sync_to_async

from django_q.cancelling import CancelAnswer, cancel
from django_q.enqueue import async_task, async_tasks
from django_q.models import Task
from django_q.results.lookup import pauses, search, value_or_raise
from django_q.states import TaskStatus, task_status


async def aasync_task(func: Any, *args: Any, **kwargs: Any) -> str:
    """As `async_task`."""
    return await sync_to_async(async_task)(func, *args, **kwargs)


async def aasync_tasks(func: Any, args_iter: Iterable[Any], **options: Any) -> list[str]:
    """As `async_tasks`."""
    return await sync_to_async(async_tasks)(func, args_iter, **options)


async def aresult(task_id: str, wait: float = 0, cached: bool | float | None = None) -> Any:
    """As `result`."""
    task = await afetch(task_id, wait, cached)
    return None if task is None else task.result


async def aresult_or_raise(
    task_id: str, wait: float = 0, cached: bool | float | None = None
) -> Any:
    """As `result_or_raise`."""
    return value_or_raise(task_id, await afetch(task_id, wait, cached))


async def afetch(task_id: str, wait: float = 0, cached: bool | float | None = None) -> Task | None:
    """As `fetch`."""
    look = sync_to_async(search(task_id, cached))
    found = await look()
    for pause in pauses(wait) if found is None else ():
        await asyncio.sleep(pause)
        if (found := await look()) is not None:
            break
    return found


async def acancel(task_id: str, kill: bool = False) -> CancelAnswer:
    """As `cancel`."""
    return await sync_to_async(cancel)(task_id, kill)


async def atask_status(task_id: str) -> TaskStatus | None:
    """As `task_status`."""
    return await sync_to_async(task_status)(task_id)
