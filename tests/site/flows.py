"""Task functions that belong to others: retried, linked, gathered."""

import os
import time
from typing import Any, NoReturn

from django_q.tasks import FailedResult, Retry, current_task
from tests.site.tasks import write


def fail_first(path: str, token: object, runs: int, seconds: float = 0.0) -> int:
    """Write "start TOKEN.ATTEMPT PID", and "end" too; fail but in the run with that number."""
    task = current_task()
    assert task is not None
    write(path, f"start {token}.{task.attempt} {os.getpid()}")
    time.sleep(seconds)
    write(path, f"end {token}.{task.attempt} {os.getpid()}")
    if task.attempt < runs:
        raise ValueError(f"attempt {task.attempt} of {task.max_attempts}")
    return task.attempt


def ask_once(delay: float) -> float:
    """Ask to be run again after a delay, once; then give the time between the two runs' starts."""
    task = current_task()
    assert task is not None
    if task.attempt == 1:
        raise Retry(delay, text=f"once {task.started.timestamp()}")
    return task.started.timestamp()


def swallow(seconds: float) -> NoReturn:
    """Catch whatever is thrown at it, in the first run; later sleep beyond any limit."""
    while True:
        try:
            time.sleep(seconds)
        except BaseException:
            task = current_task()
            if task is None or task.attempt > 1:
                raise


def grow(first: int, second: int = 1) -> int:
    """Add."""
    return first + second


def note(value: Any, path: str, word: str) -> str:
    """Write "WORD VALUE" into the file."""
    write(path, f"{word} {str(value).partition(' : ')[0]}")
    return word


def total(values: list[Any], path: str, token: object) -> tuple[int, int]:
    """Write as `record`; give the sum of the values that came, and how many failed."""
    write(path, f"start {token} {os.getpid()}")
    failed = [value for value in values if isinstance(value, FailedResult)]
    write(path, f"end {token} {os.getpid()}")
    return sum(value for value in values if isinstance(value, int)), len(failed)


def collect(values: list[Any], path: str, token: object) -> list[Any]:
    """Write as `record`; give the values that came."""
    write(path, f"start {token} {os.getpid()}")
    write(path, f"end {token} {os.getpid()}")
    return list(values)


def fail_at(path: str) -> NoReturn:
    """Write "start ATTEMPT MOMENT", and fail."""
    task = current_task()
    assert task is not None
    write(path, f"start {task.attempt} {time.time()}")
    raise ValueError(f"attempt {task.attempt} of {task.max_attempts}")
