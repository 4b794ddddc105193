"""Task functions that tell how far they are, and that hear of their cancellation."""

import asyncio
import os
import time

from django_q.current import CurrentTask
from django_q.tasks import TaskCancelled, current_task
from tests.site.tasks import write


def _current() -> CurrentTask:
    task = current_task()
    assert task is not None
    return task


def report(gate: str) -> int:
    """Tell of its progress until the file `gate` exists; give how often."""
    times = 0
    while not os.path.exists(gate):
        times += 1
        _current().progress(times % 50 + 1, 50, f"step {times}")
        time.sleep(0.001)
    return times


def clean_up(path: str) -> None:
    """Wait; when it is cancelled, say so in the file."""
    try:
        time.sleep(600)
    except TaskCancelled:
        write(path, f"cancelled {_current().cancelled}")
        raise


def look(path: str) -> str:
    """Take no notice of the exception, and return by itself."""
    write(path, "start")
    while True:
        try:
            while not _current().cancelled:
                time.sleep(0.01)
            time.sleep(0.5)
            return "done all the same"
        except TaskCancelled:
            pass


def wait(seconds: float) -> float:
    """Take a while, in small steps."""
    for _ in range(int(seconds * 100)):
        time.sleep(0.01)
    return seconds


async def wait_async(seconds: float) -> float:
    """Take a while on the event loop."""
    await asyncio.sleep(seconds)
    return seconds
