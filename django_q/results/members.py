"""Which tasks a group in the cache has: `Members`, a list that many processes may append to.

A group is a row of slots, each a key of its own with one task id. A slot is taken with `add`, which
gives it to one caller only on Memcached, on Redis, in the database cache and, within one process,
in the in-memory one; nothing is read, changed and written back. The file-based cache has no such
promise: two clusters that end members of one group in the same instant may lose one there.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.cache import BaseCache

from django_q.exceptions import ResultsUnavailable

#: Slots looked at behind the last one that the counter knows of, which may be behind the truth.
_SPARE = 20
#: Keys asked for at once: every cache and every database takes so many.
_BLOCK = 500


class Members:
    """The ids of one group's tasks. `key` is a prefix that no other key in the cache has."""

    def __init__(self, cache: BaseCache, key: str) -> None:
        self._cache = cache
        self._counter = key
        self._key = key

    def join(self, timeouts: Mapping[str, int | None]) -> None:
        """Add task ids, each for its time in seconds (None: for ever).

        A caller that dies on the way may leave an empty slot or a task with two: readers see both.
        """
        known = [timeout for timeout in timeouts.values() if timeout is not None]
        longest = max(known) if len(known) == len(timeouts) else None
        # The counter only says where to try first. Who has a slot is decided by `add`.
        self._cache.add(self._counter, 0, longest)
        slot = int(self._cache.incr(self._counter, len(timeouts))) - len(timeouts)
        self._cache.touch(self._counter, longest)
        for task_id, timeout in timeouts.items():
            while not self._take(slot, task_id, timeout):
                slot += 1

    def ids(self) -> list[str]:
        """Give the ids in the order in which they joined."""
        return list(dict.fromkeys(self._taken().values()))

    def clear(self) -> None:
        """Forget all ids."""
        self._cache.delete_many([*self._taken(), self._counter])

    def _take(self, slot: int, task_id: str, timeout: int | None) -> bool:
        """Take a slot; False if another task has it."""
        if self._cache.add(self._slot(slot), task_id, timeout):
            return True
        holder = self._cache.get(self._slot(slot))
        if holder is None:
            raise ResultsUnavailable("The cache of the results does not keep what is written.")
        return bool(holder == task_id)

    def _taken(self) -> dict[str, str]:
        """Give the keys of the taken slots with the ids in them."""
        taken: dict[str, str] = {}
        start, end = 0, int(self._cache.get(self._counter) or 0) + _SPARE
        while True:
            keys = [self._slot(number) for number in range(start, end)]
            taken |= get_many(self._cache, keys)
            if not any(key in taken for key in keys[-_SPARE:]):
                return taken
            start, end = end, end + _BLOCK

    def _slot(self, number: int) -> str:
        return f"{self._key}:{number}"


def get_many(cache: BaseCache, keys: Sequence[str]) -> dict[str, Any]:
    """Give what is there under these keys, asked for in portions."""
    found: dict[str, Any] = {}
    for start in range(0, len(keys), _BLOCK):
        found |= cache.get_many(keys[start : start + _BLOCK])
    return found
