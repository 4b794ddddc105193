"""The tasks of the project, and receivers of the framework's signals."""

import os
import threading
import time
from typing import Any

try:
    from django.tasks import TaskContext, task
    from django.tasks.signals import task_finished, task_started
except ImportError:
    from django_tasks import TaskContext, task
    from django_tasks.signals import task_finished, task_started


@task
def add(first: Any, second: Any) -> Any:
    """Give the sum."""
    return first + second


@task
async def double(number: int) -> int:
    """Give it twice, from a coroutine."""
    return number * 2


@task(takes_context=True)
def tell(context: TaskContext) -> list[Any]:
    """Give what the task knows of itself."""
    result = context.task_result
    return [result.id, str(result.status), context.attempt, result.worker_ids]


@task(takes_context=True, max_attempts=3, retry_delay=0.1, jitter=0)
def recover(context: TaskContext) -> list[str]:
    """Fail twice; then give the errors of the runs before."""
    if context.attempt < 3:
        raise ValueError(f"attempt {context.attempt}")
    return [error.exception_class_path for error in context.task_result.errors]


@task
def hopeless() -> None:
    """Fail."""
    raise KeyError("nothing")


@task(timeout=0.2)
def linger() -> None:
    """Take longer than the limit."""
    time.sleep(5)


@task
def write(path: str, line: str) -> None:
    """Add a line to a file."""
    with open(path, "a") as file:
        file.write(f"{line}\n")


@task
def wait_for(path: str) -> bool:
    """Run until the file is there."""
    while not os.path.exists(path):
        time.sleep(0.01)
    return True


def plain(number: int) -> int:
    """Take the other door."""
    return number + 1


def _note(event: str) -> Any:
    def receive(task_result: Any, **kwargs: Any) -> None:
        where = "main" if threading.current_thread() is threading.main_thread() else "other"
        path = os.environ["PROJECT_SIGNALS"]
        write.func(path, f"{event} {task_result.id} {task_result.status} {where}")

    return receive


_started, _finished = _note("started"), _note("finished")
task_started.connect(_started)
task_finished.connect(_finished)
