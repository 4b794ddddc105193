"""Waiting for a condition with a limit, never for luck."""

import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")

#: Seconds between two looks.
PAUSE = 0.02
#: Seconds that what takes one on an idle machine may take on a busy one. Nobody waits so long in
#: vain, but for a failure.
LIMIT = 30.0


def wait_until(
    condition: Callable[[], Seen], limit: float = LIMIT, *, pause: float = PAUSE, what: str = ""
) -> Seen:
    """Look until `condition()` is true and give what it gave; after `limit` seconds the test fails.

    `what` says in the failure's text what was awaited.
    """
    end = time.monotonic() + limit
    while True:
        seen = condition()
        if seen:
            return seen
        if time.monotonic() > end:
            subject = what or getattr(condition, "__qualname__", repr(condition))
            raise AssertionError(f"waited {limit} s in vain for: {subject} (last seen: {seen!r})")
        time.sleep(pause)
