"""Task functions for the tests that are odder than those in `tasks`."""

import contextlib
import os
import signal
import time
from typing import Any, NoReturn

from django.db import connections

from tests.site import databases
from tests.site.tasks import (
    hold_interpreter_for,
    kill_self,
    start_children,
    swallow_everything,
    write,
    write_hook,
)


def size(data: bytes) -> int:
    """Give the length of an argument."""
    return len(data)


def record_holding(path: str, token: object, seconds: float) -> object:
    """As `record`, holding the interpreter in between."""
    write(path, f"start {token} {os.getpid()}")
    hold_interpreter_for(seconds)
    write(path, f"end {token} {os.getpid()}")
    return token


def leak(size: int) -> int:
    """Keep so many bytes for as long as the worker lives."""
    _leaked.append(b"x" * size)  # written to, so that it is resident
    return len(_leaked)


_leaked: list[bytes] = []


def hoard_files(path: str, token: object, seconds: float) -> int:
    """As `record`, holding all files that this process may still open; how many."""
    write(path, f"start {token} {os.getpid()}")
    files: list[int] = []
    with contextlib.suppress(OSError):
        while True:
            files.append(os.open(os.devnull, os.O_RDONLY))
    time.sleep(seconds)
    for file in files:
        os.close(file)
    write(path, f"end {token} {os.getpid()}")
    return len(files)


def query_twice(path: str, token: object, seconds: float) -> int:
    """As `record`, with a line "backend TOKEN PID" and a query before and after (PostgreSQL)."""
    write(path, f"start {token} {os.getpid()}")
    backend = _backend()
    write(path, f"backend {token} {backend}")
    time.sleep(seconds)
    _backend()
    write(path, f"end {token} {os.getpid()}")
    return backend


def _backend() -> int:
    with connections[os.environ[databases.CHOICE]].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


# Those that kill their worker.


def die_until(path: str, attempts: int) -> int:
    """Kill the worker until this was called `attempts` times; then give the count."""
    write(path, "attempt")
    with open(path, encoding="utf-8") as lines:
        count = sum(1 for line in lines)
    if count < attempts:
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)
    return count


def hold_then_die(path: str, gate: str) -> NoReturn:
    """Wait until the file `gate` exists, then kill the worker."""
    write(path, f"start death {os.getpid()}")
    while not os.path.exists(gate):
        time.sleep(0.01)
    kill_self()


# Those that start processes.


def fork_and_return(path: str) -> None:
    """Fork, and let the child come back as well, as somebody forgets to end it."""
    os.fork()
    write(path, f"start {os.getpid()}")


def start_stubborn_children(path: str) -> None:
    """As `start_children`, and then swallow everything."""
    try:
        start_children(path)
    except BaseException:
        swallow_everything()


# Hooks.


def slow_hook(task: Any) -> None:
    """As `write_hook`, after a second."""
    time.sleep(1)
    write_hook(task)


def deaf_hook(task: Any) -> None:
    """Stay for ever after the task, and hear nothing."""
    swallow_everything()
