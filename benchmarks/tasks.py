"""What the benchmarks run, for every peer the same functions.

Each leaves a mark first: one append of a few bytes to a file. So a run can prove that all of its
tasks were executed, which of them twice, where, and when each began.
"""

import asyncio
import functools
import os
import struct
import time

from benchmarks.scene import Scene

#: A mark: number of the task, pid, pid of the parent, `time.monotonic_ns` (the same clock in all
#: processes of the machine).
MARK = struct.Struct("<IIIq")
#: Seconds that `wait` and `wait_async` take, as a call to another service may.
WAIT = 0.05


def noop(number: int, payload: str = "") -> int:
    """Do nothing: all that is measured is the queue."""
    _mark(number)
    return number


async def noop_async(number: int, payload: str = "") -> int:
    """As `noop`, for peers whose own kind of task is the coroutine."""
    _mark(number)
    return number


def wait(number: int) -> int:
    """Wait, as for another service."""
    _mark(number)
    time.sleep(WAIT)
    return number


async def wait_async(number: int) -> int:
    """As `wait`, in a coroutine."""
    _mark(number)
    await asyncio.sleep(WAIT)
    return number


def spin(number: int) -> int:
    """Take 10 ms of CPU."""
    _mark(number)
    turn(Scene.here().turns)
    return number


async def spin_async(number: int) -> int:
    """As `spin`, for peers whose own kind of task is the coroutine."""
    return spin(number)


def turn(turns: int) -> int:
    """Reckon something of no use; the time it takes grows with `turns`."""
    value = 0
    for each in range(turns):
        value ^= each
    return value


def _mark(number: int) -> None:
    os.write(_marks(), MARK.pack(number, os.getpid(), os.getppid(), time.monotonic_ns()))


@functools.cache
def _marks() -> int:
    return os.open(Scene.here().marks, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
