"""The reference broker: a queue inside this process. For tests, and to read the contract from."""

import dataclasses
import itertools
import threading
import time
import uuid
from collections.abc import Iterable, Sequence

from django_q.brokers.base import Broker
from django_q.brokers.lease import Lease
from django_q.conf import Conf


@dataclasses.dataclass
class _Entry:
    """One package: waiting since or until `ready`, or leased until then when it has a token."""

    payload: str
    ready: float
    position: int
    priority: int = 0
    deliveries: int = 0
    token: str | None = None

    @property
    def order(self) -> tuple[bool, int, int]:
        """What lapsed comes first, then by priority."""
        return self.token is None, -self.priority, self.position


class Memory(Broker):
    """Keeps packages in this instance; many threads may use it at once.

    A fork has a copy of its own, and a pickle begins empty: `is_shared` is False.
    """

    has_receipts = can_renew = can_release = can_delay = can_delete = portable_receipts = True
    can_prioritise = carries_bytes = True
    is_shared = False

    def __init__(self, list_key: str | None = None) -> None:
        super().__init__(list_key)
        self._entries: dict[str, _Entry] = {}
        self._changed = threading.Condition()
        self._tokens = itertools.count(1)
        self._back = itertools.count(0)
        self._front = itertools.count(-1, -1)

    def enqueue_many(
        self, tasks: Iterable[str], *, delay: float = 0.0, priority: int = 0
    ) -> list[str]:
        """Keep the packages, in their order."""
        ready = time.monotonic() + delay
        with self._changed:
            made = {
                uuid.uuid4().hex: _Entry(task, ready, next(self._back), priority) for task in tasks
            }
            self._entries |= made
            self._changed.notify_all()
        return list(made)

    def lease(self, limit: int = 1, wait: float = 0.0) -> list[Lease]:
        """Lend up to `limit` packages; waits on a condition."""
        deadline = time.monotonic() + wait
        with self._changed:
            while not (ready := self._ready()) and (left := deadline - time.monotonic()) > 0:
                # A delayed or lapsed package becomes ready without anybody's notice.
                self._changed.wait(min(left, 0.05))
            return [self._lend(id, self._entries[id]) for id in ready[:limit]]

    def _ready(self) -> list[str]:
        now = time.monotonic()
        ready = [id for id, entry in self._entries.items() if entry.ready <= now]
        return sorted(ready, key=lambda id: self._entries[id].order)

    def _lend(self, id: str, entry: _Entry) -> Lease:
        entry.token = f"{self.holder}.{next(self._tokens)}"
        entry.ready = time.monotonic() + Conf.RETRY
        entry.deliveries += 1
        return Lease(f"{id}:{entry.token}", entry.payload, id, entry.deliveries)

    def acknowledge_many(self, receipts: Sequence[str]) -> None:
        """Remove what these receipts still hold."""
        with self._changed:
            for id in self._held(receipts).values():
                del self._entries[id]

    def renew(self, receipts: Sequence[str]) -> list[str]:
        """Prolong what these receipts still hold."""
        with self._changed:
            held = self._held(receipts)
            for id in held.values():
                self._entries[id].ready = time.monotonic() + Conf.RETRY
            return list(held)

    def release(
        self, receipts: Sequence[str], delay: float = 0.0, *, counted: bool = False
    ) -> None:
        """Give back what these receipts still hold, in the order it was leased."""
        with self._changed:
            for id in reversed(self._held(receipts).values()):
                self._give_back(self._entries[id], delay, counted)
            self._changed.notify_all()

    def release_holder(self, holder: str) -> int:
        """Give back all leases whose token begins with this holder."""
        with self._changed:
            held = [e for e in self._entries.values() if (e.token or "").startswith(f"{holder}.")]
            for entry in sorted(held, key=lambda e: e.position, reverse=True):
                self._give_back(entry, 0.0, False)
            self._changed.notify_all()
            return len(held)

    def _give_back(self, entry: _Entry, delay: float, counted: bool) -> None:
        entry.token = None
        entry.ready = time.monotonic() + delay
        entry.position = next(self._front)
        entry.deliveries -= not counted

    def _held(self, receipts: Sequence[str]) -> dict[str, str]:
        """Give receipt -> id of those receipts that still hold their package."""
        pairs = ((receipt, *receipt.partition(":")[::2]) for receipt in receipts)
        entries = self._entries
        return {r: id for r, id, token in pairs if id in entries and entries[id].token == token}

    def delete(self, task_id: str) -> bool:
        """Remove the package with this id."""
        with self._changed:
            return self._entries.pop(task_id, None) is not None

    def purge_queue(self) -> None:
        """Forget everything."""
        with self._changed:
            self._entries.clear()

    def queue_size(self) -> int:
        """Count what could be leased now."""
        with self._changed:
            return len(self._ready())

    def lock_size(self) -> int:
        """Count what is leased."""
        now = time.monotonic()
        with self._changed:
            return sum(e.token is not None and e.ready > now for e in self._entries.values())

    def info(self) -> str:
        """Name it."""
        return "Memory"
