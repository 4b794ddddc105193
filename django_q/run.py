"""A task that runs, as the thread that runs it and the clerk beside it see it: `Run`."""

import math
import time
from typing import NamedTuple

from django_q.package import TaskPackage, function_path

#: Characters of a progress text: the width of its column.
LONGEST_TEXT = 200


class Progress(NamedTuple):
    """How far a task says that it is."""

    done: float
    #: What `done` will be at the end; None where the task does not know.
    total: float | None = None
    text: str = ""


def make_progress(done: float, total: float | None, text: str) -> Progress:
    """Give what a task says, as every database stores it. ValueError: for NaN and its kin."""
    for number in (done, total):
        if number is not None and not math.isfinite(number):
            raise ValueError(f"Progress has {number!r}: give finite numbers.")
    words = str(text)[:LONGEST_TEXT].replace("\0", "").encode("utf-8", "replace").decode()
    return Progress(float(done), None if total is None else float(total), words)


class Run:
    """One run of a task. No locks: each attribute has one writer, and is written as a whole."""

    __slots__ = ("began", "func", "id", "is_cancelled", "package", "progress")

    def __init__(self, package: TaskPackage) -> None:
        self.package = package
        self.id = package["id"]
        #: Dotted path of the function: the clerk does not ask the callable, whose code is not ours.
        self.func = function_path(package["func"])
        #: On the monotonic clock.
        self.began = time.monotonic()
        #: What the task last said; written by its own thread.
        self.progress: Progress | None = None
        #: Somebody wants it to end; written by the clerk.
        self.is_cancelled = False
