"""Receivers of Django Q's signals, in the workers of a test: they come with their task's module.

A worker imports this module when it finds the function of a task that lives here, which is before
`pre_execute` is sent. What a receiver does depends on the name of the task.
"""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from django.dispatch import receiver

from django_q.signals import post_execute, post_execute_in_worker, pre_execute
from tests.site.tasks import write


def work(path: str = "", value: Any = None) -> Any:
    """Give `value`; with a path, every receiver writes there what it got."""
    return value


def fail(path: str = "") -> None:
    """Fail; with a path, every receiver writes there what it got."""
    raise ValueError("on purpose")


def odd(number: int) -> int:
    """Give an odd number; fail for an even one."""
    if number % 2 == 0:
        raise ValueError(f"{number} is even")
    return number


def slow_hook(task: Any) -> None:
    """Take longer than a test waits."""
    time.sleep(5)


@receiver(pre_execute)
def _before(sender: Any, func: Any, task: Any, **kwargs: Any) -> None:
    _note("pre_execute", sender, task, func)
    if task["name"] == "refused":
        raise ValueError("no such task today")


@receiver(post_execute_in_worker)
def _behind(sender: Any, func: Any, task: Any, **kwargs: Any) -> None:
    _note("post_execute_in_worker", sender, task, func)
    path = task["args"][0] if task["args"] else ""
    if task["name"] == "dies while it reports" and not Path(f"{path}.once").exists():
        Path(f"{path}.once").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if task["name"] == "reports for long":
        time.sleep(3)


@receiver(post_execute)
def _after(sender: Any, task: Any, **kwargs: Any) -> None:
    _note("post_execute", sender, task, None)


def _note(name: str, sender: Any, task: dict[str, Any], func: Any) -> None:
    path = task["args"][0] if task["args"] else ""
    if path and str(path).endswith(".json"):
        kinds = {key: type(value).__name__ for key, value in task.items()}
        values = {key: str(task.get(key)) for key in ("id", "name", "cluster", "success", "result")}
        said = {"signal": name, "sender": sender, "kinds": kinds, "values": values}
        write(path, json.dumps(said | {"func": getattr(func, "__name__", None)}))
