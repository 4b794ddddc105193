"""Unique tasks: whether one may be sent, or another one has its key; and when that is free again.

Called by who enqueues, and in the main thread of a worker.
"""

import contextlib
from collections.abc import Sequence

from django.db import router
from django.utils import timezone

from django_q.conf import logger
from django_q.exceptions import DuplicateTask, ResultsUnavailable
from django_q.limit_options import LIMITS, LONGEST_HELD, short_key, unique_key
from django_q.models import Task
from django_q.order_options import time_left
from django_q.package import TaskPackage, function_path
from django_q.results import cancellations, keys
from django_q.results.entries import Entry


def claim(package: TaskPackage, queue: str) -> str | None:
    """Take the key of a unique task that goes to `queue`; None: it is to be sent.

    Otherwise the id of the task that has the key, and nothing is to be sent. Raises DuplicateTask
    where the task says so, and ResultsUnavailable.
    """
    if not package.get("unique"):
        return None
    key = package["unique"] = unique_key(package, function_path(package["func"]))
    until = package.get("unique_until", "done")
    is_scope = isinstance(until, str)
    held = LONGEST_HELD if is_scope else float(until)
    # The time in which it is held back by its own wish does not count.
    held += time_left(package, timezone.now())
    way = package.get("unique_else", "skip")
    scope = str(until) if is_scope else keys.FOR_A_TIME
    holder = keys.take(key, package["id"], scope, held, queue)
    while way == "replace" and holder != package["id"]:
        if keys.hand_over(key, holder, package["id"], held, queue):
            _cancel(holder)
            return None
        holder = keys.take(key, package["id"], scope, held, queue)
    if holder == package["id"]:
        return None
    if way == "raise":
        raise DuplicateTask(key, holder)
    logger.info("%s is not sent: the task [%s] has its key %s", package["name"], holder, key)
    return holder


def give_up(packages: Sequence[TaskPackage]) -> None:
    """Free the keys of tasks that could not be sent after all. Raises nothing."""
    ids = [package["id"] for package in packages if package.get("unique")]
    if ids:
        with contextlib.suppress(ResultsUnavailable):
            keys.free_of(ids)


def starts(package: TaskPackage) -> None:
    """Free the key of a task that was unique until it starts. Raises ResultsUnavailable."""
    if package.get("unique") and package.get("unique_until") == "started":
        keys.free([(short_key(str(package["unique"])), package["id"])])


def entries(package: TaskPackage, *, is_done: bool) -> tuple[Entry, ...]:
    """Give what is written with the end of a run: its permit is free, and when all is over its key.

    A task that is unique for a time stays so, whatever became of it.
    """
    if LIMITS.isdisjoint(package):
        return ()
    found: list[Entry] = []
    if is_done and package.get("unique") and isinstance(package.get("unique_until", ""), str):
        found.append(Entry("free_key", (short_key(str(package["unique"])), package["id"])))
    if package.get("concurrency_key"):
        found.append(Entry("free_permit", (package["id"],)))
    return tuple(found)


def _cancel(task_id: str) -> None:
    """Wish for the end of a task, unless it has come."""
    if not Task.objects.using(router.db_for_write(Task)).filter(pk=task_id).exists():
        cancellations.ask([task_id])
