"""Results by id, name or group, for the code that enqueued: `result`, `fetch` and their kin.

Called in any process. `wait` is in milliseconds, negative for ever; `cached` (default
`Q_CLUSTER["cached"]`) says that the result is in the cache. Waiting sees what is committed: inside
a transaction of the caller's own, MySQL shows it nothing new.
"""

import functools
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from django.db.models import QuerySet

from django_q.conf import Conf
from django_q.exceptions import TaskFailed, TaskNotDone
from django_q.models import Attempt, Task
from django_q.results.attempts import of_task
from django_q.results.cache import CacheStore

__all__ = [
    "attempts",
    "count_group",
    "count_group_cached",
    "delete_cached",
    "delete_group",
    "delete_group_cached",
    "fetch",
    "fetch_cached",
    "fetch_group",
    "fetch_group_cached",
    "result",
    "result_cached",
    "result_group",
    "result_group_cached",
    "result_or_raise",
    "wait_for_chain",
]

_Found = TypeVar("_Found")

#: Seconds between the first two looks, the factor by which the pause grows, and the longest pause:
#: a quick answer is seen quickly, a long wait costs five queries a second.
_FIRST_PAUSE, _GROWTH, _LONGEST_PAUSE = 0.01, 1.5, 0.2
#: Length of an id. What has it is tried as an id first, and as a name then.
_ID_LENGTH = 32
#: Seconds between two looks for a *name* that could be an id. Names have no index.
_NAME_PAUSE = 1.0


# One task.


def result(task_id: str, wait: float = 0, cached: bool | float | None = None) -> Any:
    """Give the value of a task by id or name; of a failed one the error text.

    None when the task has not ended within `wait`; `fetch` and `result_or_raise` tell that from a
    value of None.
    """
    if _is_cached(cached):
        return result_cached(task_id, wait)
    task = _wait_for(_Search(task_id, Task.objects.only("result")), wait)
    return None if task is None else task.result


def result_or_raise(task_id: str, wait: float = 0, cached: bool | float | None = None) -> Any:
    """Give the value of a task that succeeded, by id or name.

    Raises TaskFailed when it failed, and TaskNotDone when it has not ended within `wait`.
    """
    return value_or_raise(task_id, fetch(task_id, wait, cached))


def value_or_raise(task_id: str, task: Task | None) -> Any:
    """Give the value of the task that was found for an id, or raise as `result_or_raise`."""
    if task is None:
        raise TaskNotDone(f"The task {task_id} has not ended, or its result was not kept.")
    if not task.success:
        raise TaskFailed(task)
    return task.result


def fetch(task_id: str, wait: float = 0, cached: bool | float | None = None) -> Task | None:
    """Give a task by id or name (of several with one name the newest), or None.

    Waits up to `wait` milliseconds for it.
    """
    return _wait_for(search(task_id, cached), wait)


def attempts(task_id: str) -> list[Attempt]:
    """Give the failed runs of a task that were followed by another, the first one first.

    By id only; the last run is in `fetch`. They are kept for two weeks, as long as the task is.
    """
    return of_task(task_id)


def result_cached(task_id: str, wait: float = 0, broker: Any = None) -> Any:
    """As `result`, from the cache and by id only. `broker`: whose cache, if not the usual one."""
    task = fetch_cached(task_id, wait, broker)
    return None if task is None else task.result


def fetch_cached(task_id: str, wait: float = 0, broker: Any = None) -> Task | None:
    """As `fetch`, from the cache and by id only; the Task is not saved."""
    store = _store(broker)
    return _wait_for(lambda: store.fetch(task_id), wait)


# Groups.


def result_group(
    group_id: str,
    failures: bool = False,
    wait: float = 0,
    count: int | None = None,
    cached: bool | float | None = None,
) -> Any:
    """Give the values of a group's tasks, newest first; with `failures` the error texts too.

    A queryset of values, or a list from the cache. Waits as `fetch_group` does.
    """
    if _is_cached(cached):
        return result_group_cached(group_id, failures, wait, count)
    return fetch_group(group_id, failures, wait, count, cached).values_list("result", flat=True)


def fetch_group(
    group_id: str,
    failures: bool = True,
    wait: float = 0,
    count: int | None = None,
    cached: bool | float | None = None,
) -> Any:
    """Give a group's tasks, newest first; without `failures` only those that succeeded.

    A queryset, or a list from the cache. With `count` it waits until that many tasks have ended,
    failed ones too: up to `wait` milliseconds, and for ever if that is 0. Without, it waits for
    the first.
    """
    if _is_cached(cached):
        return fetch_group_cached(group_id, failures, wait, count)
    tasks: QuerySet[Task] = Task.get_task_group(group_id, failures)
    if count:
        _wait_for(lambda: Task.get_group_count(group_id) >= count or None, wait or -1)
    else:
        _wait_for(lambda: tasks.exists() or None, wait)
    # Not the one that was looked at: a queryset remembers what it saw.
    return tasks.all()


def count_group(
    group_id: str, failures: bool = False, cached: bool | float | None = None
) -> int | None:
    """Count the tasks of a group that have ended; with `failures` only those that failed."""
    if _is_cached(cached):
        return count_group_cached(group_id, failures)
    return Task.get_group_count(group_id, failures)


def delete_group(group_id: str, tasks: bool = False, cached: bool | float | None = None) -> Any:
    """Take the label off a group's tasks: their number. With `tasks` delete them.

    In the cache they are deleted in either case; that gives None.
    """
    if _is_cached(cached):
        return delete_group_cached(group_id)
    return Task.delete_group(group_id, tasks)


def result_group_cached(
    group_id: str,
    failures: bool = False,
    wait: float = 0,
    count: int | None = None,
    broker: Any = None,
) -> list[Any]:
    """As `result_group`, from the cache."""
    return [task.result for task in fetch_group_cached(group_id, failures, wait, count, broker)]


def fetch_group_cached(
    group_id: str,
    failures: bool = True,
    wait: float = 0,
    count: int | None = None,
    broker: Any = None,
) -> list[Task]:
    """As `fetch_group`, from the cache."""
    store = _store(broker)
    if count:
        _wait_for(lambda: store.has_members(group_id, count) or None, wait or -1)
        wait = 0

    def look() -> list[Task] | None:
        return [task for task in store.fetch_group(group_id) if failures or task.success] or None

    return _wait_for(look, wait) or []


def count_group_cached(group_id: str, failures: bool = False, broker: Any = None) -> int | None:
    """As `count_group`, from the cache; None for a group that is not there."""
    return _store(broker).count_group(group_id, failures)


def delete_group_cached(group_id: str, broker: Any = None) -> None:
    """Delete a group and its tasks from the cache."""
    _store(broker).delete_group(group_id)


def delete_cached(task_id: str, broker: Any = None) -> bool:
    """Delete a task from the cache; True if it was there."""
    return _store(broker).delete(task_id)


def wait_for_chain(
    group_id: str,
    length: int,
    wait: float = 0,
    cached: bool | float | None = None,
    *,
    goes_on: bool = False,
) -> None:
    """Wait until all links of a chain have ended, or one has failed and so ended the chain.

    Up to `wait` milliseconds, and for ever if that is 0.
    """

    def look() -> bool | None:
        if (count_group(group_id, cached=cached) or 0) >= length:
            return True
        return bool(not goes_on and count_group(group_id, True, cached)) or None

    _wait_for(look, wait or -1)


# How it is found.


def search(task_id: str, cached: bool | float | None = None) -> Callable[[], Task | None]:
    """Give a function that looks for a task once, as `fetch` does."""
    if _is_cached(cached):
        return functools.partial(_store(None).fetch, task_id)
    return _Search(task_id, Task.objects.all())


def pauses(wait: float) -> Iterator[float]:
    """Give the seconds to wait before each further look, until `wait` milliseconds are over."""
    end = time.monotonic() + wait / 1000 if wait >= 0 else float("inf")
    pause = _FIRST_PAUSE
    while (left := end - time.monotonic()) > 0:
        # The last look is at the very end.
        yield min(pause, left)
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)


class _Search:
    """Looks for one task in the database: one cheap query a call, where there is an id."""

    def __init__(self, task_id: str, tasks: QuerySet[Task]) -> None:
        self._task_id = task_id
        self._tasks = tasks
        self._next_by_name = 0.0

    def __call__(self) -> Task | None:
        by_id = len(self._task_id) == _ID_LENGTH
        if by_id and (task := self._tasks.filter(pk=self._task_id).first()):
            return task
        now = time.monotonic()
        if by_id and now < self._next_by_name:
            return None
        self._next_by_name = now + _NAME_PAUSE
        return self._tasks.filter(name=self._task_id).order_by("-stopped").first()


def _wait_for(look: Callable[[], _Found | None], wait: float) -> _Found | None:
    """Look until there is something, for `wait` milliseconds (negative: for ever)."""
    found = look()
    for pause in pauses(wait) if found is None else ():
        time.sleep(pause)
        if (found := look()) is not None:
            break
    return found


def _is_cached(cached: bool | float | None) -> bool:
    return bool(Conf.CACHED if cached is None else cached)


def _store(broker: Any) -> CacheStore:
    return CacheStore(None if broker is None else broker.cache)
