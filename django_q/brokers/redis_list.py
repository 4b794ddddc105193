"""The Redis broker without leases, as `"receipts": False` asks: a plain list, fire and forget.

What was delivered is gone, and lost if its worker dies. The list is the one of Django Q.
"""

import functools
import itertools
import time
from collections.abc import Iterable, Sequence
from typing import Any

from django_q.brokers.lease import Lease
from django_q.brokers.partly import partly
from django_q.brokers.redis_server import RedisServer, text

#: Packages in one RPUSH, so that a long iterable need not fit into one command.
BATCH = 500


class RedisList(RedisServer):
    """Keeps packages in the list `django_q:<name>:q`."""

    def __init__(self, list_key: str | None = None) -> None:
        super().__init__(list_key)
        self._home = self._key = f"django_q:{self.list_key}:q"

    def enqueue_many(
        self, tasks: Iterable[str], *, delay: float = 0.0, priority: int = 0
    ) -> list[str]:
        """Append the packages; the ids are their places in the list, as they were in Django Q."""
        remaining = iter(tasks)
        with partly() as places:
            while batch := list(itertools.islice(remaining, BATCH)):
                # Not tried again after a lost reply: it would keep the packages twice.
                end = self._call(functools.partial(self._push, batch=batch), again=False)
                places += [str(place) for place in range(end - len(batch) + 1, end + 1)]
        return places

    def _push(self, connection: Any, batch: list[str]) -> int:
        return int(connection.rpush(self._key, *batch))

    def lease(self, limit: int = 1, wait: float = 0.0) -> list[Lease]:
        """Take up to `limit` packages off the list, for good."""
        deadline = time.monotonic() + wait
        while True:
            popped = self._call(lambda c: _leases(c.lpop(self._key, limit) or []))
            left = deadline - time.monotonic()
            if not popped and left > 0:
                popped = self._wait(left)
            if popped or left <= 0:
                return popped

    def _wait(self, seconds: float) -> list[Lease]:
        """Block until a package comes; a blocking call gives one only."""
        seconds = round(max(0.01, min(seconds, self._block_limit())), 3)
        return self._call(lambda c: _leases((c.blpop([self._key], seconds) or ())[1:]))

    def purge_queue(self) -> None:
        """Remove the list."""
        self._call(lambda c: c.delete(self._key))

    def queue_size(self) -> int:
        """Count the list."""
        return self._call(lambda c: int(c.llen(self._key)))


def _leases(popped: Sequence[bytes | str]) -> list[Lease]:
    return [Lease(None, text(payload)) for payload in popped]
