"""The site's side of a run: a process in the peer's environment that sends tasks and counts.

    python -m benchmarks.producer MODULE

It reads one JSON object a line, `{"do": NAME, ...}`, and answers each with one.
"""

import importlib
import json
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import django

from benchmarks.scene import Scene
from benchmarks.tasks import MARK

#: Seconds between two looks at the file of the marks.
_PAUSE = 0.001


class Producer:
    """Carries out what it is told, by the module of the peer."""

    def __init__(self, peer: ModuleType) -> None:
        self._peer = peer

    def prepare(self) -> None:
        """Make tables and the like."""
        self._peer.prepare()

    def commands(self) -> list[list[str]]:
        """The commands that start the workers; the first word is a module of Python."""
        commands: list[list[str]] = self._peer.commands()
        return commands

    def send_each(self, kind: str, first: int, count: int, payload: int = 0) -> dict[str, float]:
        """Send tasks one at a time; seconds and seconds of CPU that it took."""
        return self._timed(self._peer.send_each, kind, range(first, first + count), payload)

    def send_bulk(self, kind: str, first: int, count: int, payload: int = 0) -> dict[str, float]:
        """The same by the call for many, where the peer has one."""
        send = getattr(self._peer, "send_bulk", self._peer.send_each)
        return self._timed(send, kind, range(first, first + count), payload)

    def has_bulk(self) -> bool:
        """Whether the peer has a call for many tasks."""
        return hasattr(self._peer, "send_bulk")

    def send_apart(self, count: int, least: float, most: float) -> list[int]:
        """Send each when the one before has begun and a random while has passed.

        The moments at which the calls began, in nanoseconds.
        """
        moments: list[int] = []

        def numbers() -> Iterator[int]:
            for number in range(count):
                time.sleep(random.uniform(least, most))  # noqa: S311
                moments.append(time.monotonic_ns())
                yield number
                _wait_for_marks(number + 1)

        self._peer.send_each("noop", numbers(), {})
        return moments

    def unsettled(self) -> int:
        """Tasks that wait, run, or have not been acknowledged."""
        count: int = self._peer.unsettled()
        return count

    def unsettled_at_most(self) -> int:
        """The same, perhaps too many, by a look that costs nothing, where the peer has one."""
        count: int = getattr(self._peer, "unsettled_at_most", self._peer.unsettled)()
        return count

    def results(self) -> int:
        """Results that are stored."""
        count: int = self._peer.results()
        return count

    def old_results(self, count: int) -> None:
        """Store results of tasks that ended long ago."""
        self._peer.old_results(count)

    def _timed(self, send: Any, kind: str, numbers: range, payload: int) -> dict[str, float]:
        arguments = {"payload": "x" * payload} if payload else {}
        began, cpu = time.perf_counter(), time.process_time()
        send(kind, numbers, arguments)
        return {"took": time.perf_counter() - began, "cpu": time.process_time() - cpu}


def _wait_for_marks(count: int, limit: float = 60) -> None:
    path, end = Path(Scene.here().marks), time.monotonic() + limit
    while path.stat().st_size < count * MARK.size:
        if time.monotonic() > end:
            raise TimeoutError(f"Task {count} did not start within {limit} s.")
        time.sleep(_PAUSE)


def main() -> None:
    """Answer until the input ends."""
    # What the peer prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    django.setup()
    producer = Producer(importlib.import_module(sys.argv[1]))
    for line in sys.stdin:
        words = json.loads(line)
        answer = getattr(producer, words.pop("do"))(**words)
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
