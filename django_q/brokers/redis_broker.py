"""The Redis broker: packages are lent, and go away when they are acknowledged.

A receipt is `id:token`; the token begins with the holder. How a queue is kept: `redis_scripts`.
"""

import functools
import math
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import redis

from django_q.brokers import redis_batches as batches
from django_q.brokers import redis_scripts as scripts
from django_q.brokers.base import Broker
from django_q.brokers.lease import Lease
from django_q.brokers.partly import partly
from django_q.brokers.redis_connect import is_cluster
from django_q.brokers.redis_flight import Flight
from django_q.brokers.redis_lend import LEASE, lend_at_bell
from django_q.brokers.redis_server import RedisServer, payload_of, text
from django_q.conf import Conf
from django_q.disguise import to_wire

#: Seconds below which nobody waits at the bell: zero would mean for ever.
_SHORTEST_WAIT = 0.005


class Redis(RedisServer):
    """Keeps packages in Redis 6.2 or later, or Valkey."""

    has_receipts = can_renew = can_release = can_delay = can_delete = portable_receipts = True
    can_prioritise = carries_bytes = True

    def __init__(self, list_key: str | None = None) -> None:
        super().__init__(list_key)
        # One hash tag, so that Redis Cluster keeps all of it in one slot.
        tag = f"{{django_q:{self.list_key}}}:"
        self._home = self._ids = f"{tag}ids"
        self._packages = f"{tag}packages"
        self._leases, self._holds, self._delayed = f"{tag}leases", f"{tag}holds", f"{tag}delayed"
        self._ranked, self._later = f"{tag}ranked", f"{tag}later"
        self._bell, self._ghosts, self._sent = f"{tag}bell", f"{tag}ghosts", f"{tag}sent"
        self._plain = f"django_q:{self.list_key}:q"
        #: Tokens of lease calls whose reply did not arrive.
        self._unanswered: set[str] = set()
        #: Until when there is nothing to lease unless the bell rings (monotonic).
        self._quiet_until = 0.0

    # -- producing --------------------------------------------------------------------------

    def enqueue_many(
        self, tasks: Iterable[str], *, delay: float = 0.0, priority: int = 0
    ) -> list[str]:
        """Keep the packages in their order, some hundred at a time.

        If the server goes away in between, the packages before that stay.
        """
        rank = f"{scripts.RANK}{priority:d}" if priority else ""
        with partly() as kept:
            for batch in batches.split(tasks):
                ids = batches.draw(len(batch), rank)
                # Each batch is due a little after the one before.
                wait = _microseconds(delay) + 2 * len(kept) if delay > 0 else 0
                self._call(functools.partial(self._keep, ids=ids, batch=batch, wait=wait))
                kept += ids
        return kept

    def _keep(self, connection: Any, ids: list[str], batch: list[str], wait: int) -> None:
        # The id of the first package names the call. Whoever repeats it is this thread.
        sent = f"{self._sent}:{self.holder}.{os.getpid()}.{threading.get_ident()}"
        if wait or scripts.RANK in ids[0]:
            keys = [self._packages, self._delayed, self._bell, sent, self._ranked, self._later]
            scripts.ENQUEUE_IN_TURN.run(connection, keys, wait, *batches.with_ids(ids, batch))
        elif Conf.LEGACY == "write" and not is_cluster(connection):
            keys = [self._plain, self._bell, sent]
            scripts.ENQUEUE_PLAIN.run(connection, keys, ids[0], *map(to_wire, batch))
        else:
            keys = [self._ids, self._packages, self._bell, sent]
            scripts.ENQUEUE.run(self._lines, keys, *batches.with_ids(ids, batch))

    def begin_enqueue(self, tasks: list[str]) -> Callable[[], object]:
        """Send packages as `enqueue_many` does; what is given waits for the answer.

        Until it is called, nobody knows whether they are kept.
        """
        is_usual = type(self).enqueue_many is Redis.enqueue_many and Conf.LEGACY != "write"
        if not (is_usual and self._has_lines and len(list(batches.split(tasks))) == 1):
            self.enqueue_many(tasks)
            return list
        ids = batches.draw(len(tasks))
        # This thread may send something else before it sends these again: no call of another.
        keys = [self._ids, self._packages, self._bell, f"{self._sent}:{ids[0]}"]
        flight = Flight(self._lines, scripts.ENQUEUE, keys, batches.with_ids(ids, tasks))

        def land() -> None:
            with partly():
                self._call(flight, again=flight.may_be_repeated)

        return land

    # -- lending ----------------------------------------------------------------------------

    def lease(self, limit: int = 1, wait: float = 0.0) -> list[Lease]:
        """Lend up to `limit` packages, fewer if they are large; one to who waits at the bell."""
        deadline = time.monotonic() + wait
        limit = max(1, min(limit, scripts.BATCH))
        while True:
            at_bell = min(deadline, self._quiet_until) - time.monotonic()
            leases = self._call(functools.partial(self._lend, limit=limit, at_bell=at_bell))
            if leases or deadline - time.monotonic() <= _SHORTEST_WAIT:
                return leases

    def listen(self, brokers: Sequence[Broker], seconds: float) -> bool:
        """Wait for the bells of several queues; not in Redis Cluster, where they lie apart."""
        bells = [broker._bell for broker in brokers if isinstance(broker, Redis)]
        if is_cluster(self.connection) or len(bells) < len(brokers):
            return False
        self._call(lambda c: c.blpop(bells, self._block(seconds)))
        return True

    def _block(self, seconds: float) -> float:
        return round(max(_SHORTEST_WAIT, min(seconds, self._block_limit())), 3)

    def _lend(self, connection: Any, limit: int, at_bell: float) -> list[Lease]:
        """Lend, or note until when there is nothing; `at_bell`: seconds to wait there first."""
        self._give_back_unanswered()
        token = f"{self.holder}.{secrets.token_hex(4)}"
        keys = [self._ids, self._packages, self._leases, self._holds, self._delayed]
        keys += [self._bell, self._ghosts, self._ranked, self._later, *self._plain_of(connection)]
        rest = (_microseconds(Conf.RETRY), secrets.token_hex(12))
        self._unanswered.add(token)
        try:
            if at_bell > 0:
                wait = self._block(at_bell)
                due, *reply = lend_at_bell(self._lines, self._bell, wait, keys, (token, 1, *rest))
            else:
                due, *reply = LEASE.run(self._lines, keys, token, limit, *rest)
        except redis.ResponseError:
            self._unanswered.discard(token)
            raise
        self._unanswered.discard(token)
        self._quiet_until = time.monotonic() + (due / 1e6 if due > 0 else math.inf)
        if reply:
            self._quiet_until = 0.0
        triples = zip(reply[::3], reply[1::3], reply[2::3], strict=True)
        lent = [(text(id), payload_of(payload), int(count)) for id, payload, count in triples]
        return [Lease(f"{id}:{token}", payload, id, count) for id, payload, count in lent]

    def _give_back_unanswered(self) -> None:
        """Release what the server may have lent us in a reply that was lost."""
        for token in list(self._unanswered):
            self._release(self._receipts_of(token), 0.0, False)
            self._unanswered.discard(token)

    def _plain_of(self, connection: Any) -> list[str]:
        # In Redis Cluster it lies in another slot, where no script reaches it.
        return [] if is_cluster(connection) else [self._plain]

    # -- receipts ---------------------------------------------------------------------------

    def acknowledge_many(self, receipts: Sequence[str]) -> None:
        """Remove what these receipts still hold."""
        keys = [self._packages, self._leases, self._holds]
        for pairs in batches.of_receipts(receipts):
            self._call(functools.partial(self._acknowledge, keys=keys, pairs=pairs))

    def _acknowledge(self, connection: Any, keys: list[str], pairs: list[str]) -> None:
        scripts.ACKNOWLEDGE.run(self._lines, keys, *pairs)

    def renew(self, receipts: Sequence[str]) -> list[str]:
        """Prolong what these receipts still hold."""
        keys, retry = [self._leases, self._holds], _microseconds(Conf.RETRY)
        valid: list[str] = []
        for pairs in batches.of_receipts(receipts):
            valid += self._call(functools.partial(_renewed, keys=keys, retry=retry, pairs=pairs))
        return valid

    def release(
        self, receipts: Sequence[str], delay: float = 0.0, *, counted: bool = False
    ) -> None:
        """Give back what these receipts still hold, in the order given."""
        self._release(receipts, delay, counted)

    def release_holder(self, holder: str) -> int:
        """Give back all leases whose token begins with this holder; looks at every lease."""
        return self._release(self._receipts_of(f"{holder}."), 0.0, False)

    def _release(self, receipts: Sequence[str], delay: float, counted: bool) -> int:
        keys = [self._ids, self._leases, self._holds, self._delayed, self._bell]
        keys += [self._ranked, self._later]
        parts = list(batches.of_receipts(receipts))
        # What is given back last stands in front.
        ordered = parts if delay > 0 else reversed(parts)
        head = (max(0, _microseconds(delay)), int(not counted))
        return sum(self._count(scripts.RELEASE, keys, *head, *pairs) for pairs in ordered)

    def _receipts_of(self, prefix: str) -> list[str]:
        """Give the receipts whose token begins with `prefix`, in the order of their lapse."""

        def work(connection: Any) -> list[str]:
            lapses = dict(connection.zscan_iter(self._leases, count=scripts.BATCH))
            ids = sorted(lapses, key=lambda id: lapses[id])
            receipts = []
            for start in range(0, len(ids), scripts.BATCH):
                some = ids[start : start + scripts.BATCH]
                for id, value in zip(some, connection.hmget(self._holds, some), strict=True):
                    token = text(value or "").partition(":")[2]
                    if token.startswith(prefix):
                        receipts.append(f"{text(id)}:{token}")
            return receipts

        return self._call(work)

    # -- the queue --------------------------------------------------------------------------

    def delete(self, task_id: str) -> bool:
        """Remove the package with this id; the effort does not grow with the queue."""
        keys = [self._packages, self._leases, self._holds, self._delayed, self._ghosts]
        keys.append(self._later)
        return self._count(scripts.DELETE, keys, task_id) > 0

    def purge_queue(self) -> None:
        """Remove every key of the queue, the plain list too."""
        keys = [self._ids, self._packages, self._leases, self._holds, self._delayed]
        keys += [self._ranked, self._later, self._bell, self._ghosts]
        self._call(lambda c: c.unlink(*keys))
        self._call(lambda c: c.unlink(self._plain))

    def queue_size(self) -> int:
        """Count what could be leased now, the plain list included."""
        return self._sizes()[0]

    def lock_size(self) -> int:
        """Count what is leased."""
        return self._sizes()[1]

    def _sizes(self) -> tuple[int, int]:
        keys = [self._ids, self._leases, self._delayed, self._ghosts, self._ranked, self._later]

        def work(connection: Any) -> tuple[int, int]:
            waiting, leased = scripts.SIZES.run(self._lines, keys + self._plain_of(connection))
            return int(waiting), int(leased)

        return self._call(work)

    def _count(self, script: scripts.Script, keys: list[str], *args: str | int | float) -> int:
        """Run a script that tells how many it changed."""
        return self._call(lambda c: int(script.run(c, keys, *args)))


def _renewed(connection: Any, keys: list[str], retry: int, pairs: list[str]) -> list[str]:
    """Prolong what these pairs of id and token hold; the receipts of which that is true."""
    places = scripts.RENEW.run(connection, keys, retry, *pairs)
    return [f"{pairs[2 * n - 2]}:{pairs[2 * n - 1]}" for n in places]


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)
