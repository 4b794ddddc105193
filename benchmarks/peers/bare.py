"""No queue at all: a list of Redis and redis-py, to see what the same bytes cost at least."""

import signal
import sys
from collections.abc import Iterable
from typing import Any

from benchmarks import tasks
from benchmarks.peers.counting import redis_client
from benchmarks.scene import Scene

#: Bytes that are sent at once, about.
_BATCH = 1_000_000
_KEY = "bare"


def prepare() -> None:
    """Nothing."""


def commands() -> list[list[str]]:
    """This file as a program."""
    return [["benchmarks.peers.bare"]] * Scene.here().workers


def send_each(kind: str, numbers: Iterable[int], arguments: dict[str, Any]) -> None:
    """One command each."""
    for number in numbers:
        redis_client().rpush(_KEY, _text(kind, number, arguments))


def send_bulk(kind: str, numbers: Iterable[int], arguments: dict[str, Any]) -> None:
    """Some hundred, or a megabyte, in each command."""
    texts = [_text(kind, number, arguments) for number in numbers]
    size = max(1, min(500, _BATCH // len(texts[0])))
    for first in range(0, len(texts), size):
        redis_client().rpush(_KEY, *texts[first : first + size])


def unsettled() -> int:
    """What the list holds."""
    return int(redis_client().llen(_KEY))


def results() -> int:
    """None are kept."""
    return 0


def _text(kind: str, number: int, arguments: dict[str, Any]) -> str:
    return f"{kind} {number} {arguments.get('payload', '')}"


def _work() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    while True:
        _, text = redis_client().blpop(_KEY)
        kind, number, payload = text.decode().split(" ", 2)
        getattr(tasks, kind)(int(number), *([payload] if payload else []))


if __name__ == "__main__":
    _work()
