"""Task functions for the tests: good ones, slow ones, and those that break things.

They are called in a worker. Those that leave a trace write lines with O_APPEND, which the kernel
keeps whole, so that any number of workers may write into one file.
"""

import asyncio
import collections
import ctypes
import hashlib
import itertools
import os
import re
import signal
import subprocess
import sys
import time
from typing import Any, NoReturn

from tests.site.oddities import (  # noqa: F401, found through this module
    RunsWhenOpened,
    Unpicklable,
    Unshowable,
    give_bytes,
    give_generator,
    give_lambda,
    give_socket,
    give_unshowable,
)

_LEAKED: list[bytes] = []


# Good ones.


def noop() -> None:
    """Do nothing."""


def add(first: Any, second: Any) -> Any:
    """Give the sum."""
    return first + second


def echo(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Give back what came in."""
    return args, kwargs


def process() -> int:
    """Give the pid of the worker."""
    return os.getpid()


def sleep(seconds: float) -> float:
    """Take a while."""
    time.sleep(seconds)
    return seconds


def record(path: str, token: object, seconds: float = 0.0) -> object:
    """Write "start TOKEN PID" and "end TOKEN PID" into the file, with `seconds` between."""
    write(path, f"start {token} {os.getpid()}")
    if seconds:
        time.sleep(seconds)
    write(path, f"end {token} {os.getpid()}")
    return token


def hold(path: str, token: object, gate: str) -> object:
    """As `record`, but the task ends when the file `gate` exists."""
    write(path, f"start {token} {os.getpid()}")
    while not os.path.exists(gate):
        time.sleep(0.01)
    write(path, f"end {token} {os.getpid()}")
    return token


async def answer() -> int:
    """Give 42, from a coroutine."""
    await asyncio.sleep(0)
    return 42


async def fail_later(message: str = "later") -> NoReturn:
    """Fail, from a coroutine."""
    await asyncio.sleep(0)
    raise ValueError(message)


# Those that fail.


def fail(message: str = "on purpose") -> NoReturn:
    """Raise a ValueError."""
    raise ValueError(message)


def fail_until(path: str, attempts: int) -> int:
    """Fail until it was called `attempts` times, counted in the file; then give the count."""
    write(path, "attempt")
    with open(path, encoding="utf-8") as lines:
        count = sum(1 for line in lines)
    if count < attempts:
        raise ValueError(f"attempt {count} of {attempts}")
    return count


def leave(code: int = 3) -> NoReturn:
    """Raise SystemExit."""
    sys.exit(code)


def interrupt() -> NoReturn:
    """Raise KeyboardInterrupt."""
    raise KeyboardInterrupt


# Those that kill their worker.


def kill_self(number: int = signal.SIGKILL, path: str | None = None) -> NoReturn:
    """Send a signal to the own process; leave a line in `path` before."""
    _leave_line(path)
    os.kill(os.getpid(), number)
    time.sleep(60)
    raise AssertionError(f"still alive after signal {number}")


def exit_now(code: int = 7, path: str | None = None) -> NoReturn:
    """End the process without any of Python's farewells."""
    _leave_line(path)
    os._exit(code)


def segfault(path: str | None = None) -> None:
    """Read the address nobody has."""
    _leave_line(path)
    ctypes.string_at(0)


def allocate(size: int) -> int:
    """Keep `size` more bytes of memory for ever."""
    _LEAKED.append(os.urandom(1) * size)
    return sum(map(len, _LEAKED))


# Those that do not end by themselves.


def busy() -> NoReturn:
    """Compute in Python for ever."""
    while True:
        pass


def backtrack() -> object:
    """Match a regular expression that takes longer than anybody lives."""
    return re.match(r"(a+)+$", "a" * 64 + "b")


def hold_interpreter() -> None:
    """Stay in one C call that keeps the interpreter's lock and never looks for signals."""
    collections.deque(itertools.repeat(None), maxlen=0)


def hold_interpreter_for(seconds: float) -> None:
    """As `hold_interpreter`, for this long, in one call; on a busy machine too, since it waits."""
    # A PyDLL keeps the interpreter's lock while it is called.
    ctypes.PyDLL(None).poll(None, 0, int(seconds * 1000))


def long_call() -> bytes:
    """Stay in one C call that gives the interpreter's lock away and never looks for signals."""
    return hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 2_000_000_000)


def swallow_everything() -> NoReturn:
    """Catch whatever is thrown at it, for ever."""
    while True:
        try:
            while True:
                time.sleep(0.05)
        except BaseException:  # noqa: S110
            pass


def block_signals() -> NoReturn:
    """Hide from every signal that can be hidden from, for ever."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while True:
        time.sleep(0.05)


def ignore_stop(seconds: float) -> float:
    """Ignore the polite signals while working."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    time.sleep(seconds)
    return seconds


def start_children(path: str, count: int = 2) -> None:
    """Start processes that outlive any task, write their pids into the file, and wait for them."""
    program = [sys.executable, "-c", "import time; time.sleep(600)"]
    children = [subprocess.Popen(program) for _ in range(count)]
    for child in children:
        write(path, str(child.pid))
    for child in children:
        child.wait()


# Hooks.


def write_hook(task: Any) -> None:
    """Write "hook NAME SUCCESS" into `hooks.txt` in the tests' directory."""
    write(os.path.join(os.environ["TEST_DIR"], "hooks.txt"), f"hook {task.name} {task.success}")


def failing_hook(task: Any) -> NoReturn:
    """Fail after the task."""
    raise RuntimeError(f"hook of {task.name} fails on purpose")


def hanging_hook(task: Any) -> None:
    """Stay for ever after the task."""
    time.sleep(1_000_000)


def write(path: str, line: str) -> None:
    """Append one line, whole."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(fd, f"{line}\n".encode())
    finally:
        os.close(fd)


def _leave_line(path: str | None) -> None:
    if path:
        write(path, f"start {os.getpid()}")
