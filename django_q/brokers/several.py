"""Several queues served by one cluster, as `Q_CLUSTER["queues"]` says: in order, or by weight.

Made by the roles of a cluster. Whoever enqueues has a broker for each queue.
"""

import itertools
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django_q.brokers import get_broker
from django_q.brokers.base import Broker
from django_q.brokers.estimate import Estimate
from django_q.brokers.lease import Lease
from django_q.brokers.shares import Shares
from django_q.conf import Conf

#: Seconds an idle worker waits at one queue before it looks at the others.
_TURN = 0.2
#: The same where each call is paid for, and waits for whole seconds.
_METERED_TURN = 1.0
#: Flags that hold if they hold for every queue, and if they hold for any.
_ALL = (
    *("has_receipts", "can_renew", "can_release", "can_delay", "can_prioritise", "can_delete"),
    *("portable_receipts", "is_shared", "has_transactions"),
)
_ANY = ("release_counts", "is_metered")

Queues = Sequence[str] | Mapping[str, int]


def serving_broker(queue: str) -> Broker:
    """Make the broker of a cluster: of all its queues, if the settings name some."""
    queues = served_queues(queue)
    return get_broker(queue) if queues == (queue,) else Several(queue)


def served_queues(queue: str) -> Sequence[str]:
    """Give the queues that the cluster of this name serves."""
    # One that was made for another queue in code serves that one.
    return tuple(Conf.QUEUES) if Conf.QUEUES and queue == Conf.CLUSTER_NAME else (queue,)


class Several(Broker):
    """Lends from several queues.

    `queues` is a sequence, of which a queue is looked at when those before it are empty; or a
    mapping to weights, by which the leases are shared out while several have something to lend.
    A receipt says which queue it belongs to. Flags are those that hold for all the queues.
    """

    def __init__(self, list_key: str | None = None, queues: Queues | None = None) -> None:
        super().__init__(list_key)
        self._queues: Queues = queues or Conf.QUEUES or [self.list_key]
        self._members = {queue: get_broker(queue) for queue in self._queues}
        weights = dict(self._queues) if isinstance(self._queues, Mapping) else None
        self._shares = None if weights is None else Shares(weights)
        self._numbers = {queue: str(number) for number, queue in enumerate(self._members)}
        self._turns = itertools.cycle(self._members)
        members = list(self._members.values())
        for member in members:
            # One name for the leases of all queues.
            member.holder = self.holder
        for flags, rule in ((_ALL, all), (_ANY, any)):
            for flag in flags:
                setattr(self, flag, rule(getattr(member, flag) for member in members))
        for limit in ("max_lease", "max_delay"):
            limits = [getattr(member, limit) for member in members]
            setattr(self, limit, min((most for most in limits if most is not None), default=None))
        self._turn = _METERED_TURN if self.is_metered else _TURN
        # As many turns as there are queues, where that takes long; the last may begin just in time.
        self.idle_wait = max(1.0, self._turn * (len(members) - 0.5))
        aliases = {getattr(member, "alias", None) for member in members}
        #: The database that all the queues are in, if they are.
        self.alias: str | None = aliases.pop() if len(aliases) == 1 else None

    @property
    def queue_names(self) -> Sequence[str]:
        """The queues, in their order."""
        return tuple(self._members)

    def of_queue(self, queue: str) -> Broker:
        """Give the broker of one of the queues."""
        return self._members[queue]

    @property
    def _main(self) -> Broker:
        """The queue that has the cluster's name, else the first: for what is of no queue."""
        return self._members.get(self.list_key) or next(iter(self._members.values()))

    # -- lending ----------------------------------------------------------------------------

    def enqueue_many(
        self, tasks: Iterable[str], *, delay: float = 0.0, priority: int = 0
    ) -> list[str]:
        """Keep packages that were sealed for the queue of the cluster's name, or the first."""
        more: dict[str, Any] = {"delay": delay} if delay else {}
        return self._main.enqueue_many(tasks, **more | ({"priority": priority} if priority else {}))

    def lease(self, limit: int = 1, wait: float = 0.0) -> list[Lease]:
        """Lend up to `limit` packages; waits at one queue after the other, a moment each."""
        deadline = time.monotonic() + wait
        leases = self._look(limit)
        while not leases and (left := deadline - time.monotonic()) > 0:
            # What is paid for waits for whole seconds, and to wait in turn is to look in turn.
            leases = self._wait(limit, self._turn if self.is_metered else min(left, self._turn))
            if not leases and not self.is_metered:
                leases = self._look(limit)
        return leases

    def _look(self, limit: int) -> list[Lease]:
        """Take what is there, without waiting."""
        if self._shares is not None:
            return self._look_by_shares(self._shares, limit)
        leases: list[Lease] = []
        errors: list[Exception] = []
        for queue in self._members:
            leases += self._lend_beside(errors, queue, limit - len(leases))
            # A call that is paid for brings little more than it costs.
            if len(leases) >= limit or (leases and self.is_metered):
                break
        return leases or _nothing_but(errors)

    def _look_by_shares(self, shares: Shares, limit: int) -> list[Lease]:
        placed: list[tuple[float, Lease]] = []
        errors: list[Exception] = []
        wanted = shares.of(limit)
        empty: set[str] = set()
        for queue in wanted:
            asked = min(wanted[queue], limit - len(placed))
            if asked > 0:
                leases = self._lend_beside(errors, queue, asked)
                placed += zip(shares.take(queue, len(leases)), leases, strict=True)
                empty |= {queue} if len(leases) < asked else set()
        # What some did not have the others may.
        for queue in wanted:
            if len(placed) < limit and queue not in empty and not (placed and self.is_metered):
                leases = self._lend_beside(errors, queue, limit - len(placed))
                placed += zip(shares.take(queue, len(leases)), leases, strict=True)
                empty |= {queue} if not leases else set()
        shares.forget_credit(empty)
        leases = [lease for _, lease in sorted(placed, key=lambda pair: pair[0])]
        return leases or _nothing_but(errors)

    def _wait(self, limit: int, seconds: float) -> list[Lease]:
        """Wait for something in any queue; what came, if it could only be waited for in one."""
        if self._main.listen(list(self._members.values()), seconds):
            return []
        queue, began = next(self._turns), time.monotonic()
        leases = self._lend(queue, limit, seconds)
        if self._shares is not None:
            self._shares.take(queue, len(leases))
        waited = time.monotonic() - began
        if not leases and waited < seconds / 2:
            time.sleep(seconds - waited)  # a broker of one's own that does not wait
        return leases

    def _lend(self, queue: str, limit: int, wait: float = 0.0) -> list[Lease]:
        return [self._own(queue, lease) for lease in self._members[queue].lease(limit, wait)]

    def _lend_beside(self, errors: list[Exception], queue: str, limit: int) -> list[Lease]:
        try:
            return self._lend(queue, limit)
        except Exception as error:  # whatever a client raises: the other queues are served
            errors.append(error)
            return []

    def _own(self, queue: str, lease: Lease) -> Lease:
        receipt = lease.receipt
        if receipt is not None:
            receipt = f"{self._numbers[queue]}!{receipt}"
        own = Lease(receipt, lease.payload, lease.id, lease.deliveries)
        own.queue = queue
        return own

    # -- receipts ---------------------------------------------------------------------------

    def _sorted(self, receipts: Iterable[str]) -> Iterable[tuple[str, Broker, list[str]]]:
        """Give the number, the broker and the receipts of each queue that has some here."""
        by_number: dict[str, list[str]] = {}
        for receipt in receipts:
            number, _, own = receipt.partition("!")
            by_number.setdefault(number, []).append(own)
        for queue, number in self._numbers.items():
            if number in by_number:
                yield number, self._members[queue], by_number[number]

    def acknowledge_many(self, receipts: Sequence[str]) -> None:
        """Acknowledge with each queue what is of it."""
        for _, member, own in self._sorted(receipts):
            member.acknowledge_many(own)

    def acknowledge_held(self, receipt: str) -> bool:
        """Acknowledge with its queue; False for a lease that was lost."""
        return any(member.acknowledge_held(own[0]) for _, member, own in self._sorted([receipt]))

    def is_there(self, receipt: str) -> bool:
        """Tell whether the package is in its queue."""
        return any(member.is_there(own[0]) for _, member, own in self._sorted([receipt]))

    def fail(self, task_id: str) -> None:
        """Take a package away that cannot be opened."""
        for _, member, own in self._sorted([task_id]):
            member.fail(own[0])

    def renew(self, receipts: Sequence[str]) -> list[str]:
        """Renew with each queue what is of it."""
        parts = self._sorted(receipts)
        valid = {f"{number}!{own}" for number, member, some in parts for own in member.renew(some)}
        return [receipt for receipt in receipts if receipt in valid]

    def release(
        self, receipts: Sequence[str], delay: float = 0.0, *, counted: bool = False
    ) -> None:
        """Give back to each queue what is of it."""
        for _, member, own in self._sorted(receipts):
            member.release(own, delay, counted=counted)

    def release_holder(self, holder: str) -> int:
        """Give back to all queues what this holder has."""
        return sum(member.release_holder(holder) for member in self._members.values())

    # -- the queues -------------------------------------------------------------------------

    def delete(self, task_id: str) -> bool:
        """Take away the package with this tracking id, in whichever queue it is."""
        return any([bool(member.delete(task_id)) for member in self._members.values()])

    def purge_queue(self) -> None:
        """Purge all queues."""
        for member in self._members.values():
            member.purge_queue()

    def delete_queue(self) -> None:
        """Delete all queues."""
        for member in self._members.values():
            member.delete_queue()

    def queue_size(self) -> int:
        """Count what waits in all queues."""
        return Estimate.sum(member.queue_size() for member in self._members.values())

    def lock_size(self) -> int | None:
        """Count what is leased of all queues; None if one does not tell."""
        sizes = [member.lock_size() for member in self._members.values()]
        return None if None in sizes else sum(size or 0 for size in sizes)

    # -- the server -------------------------------------------------------------------------

    def ping(self) -> bool:
        """Ask the server of the first queue: all have the same."""
        return self._main.ping()

    def info(self) -> str:
        """Name and version of the server."""
        return self._main.info()

    def set_stat(self, key: str, value: str, timeout: int) -> None:
        """Keep a heartbeat, as any of the queues would."""
        self._main.set_stat(key, value, timeout)

    def get_stat(self, key: str) -> str | None:
        """Give the heartbeat under `key`, or None."""
        return self._main.get_stat(key)

    def get_stats(self, pattern: str) -> list[str]:
        """Give all live heartbeats whose keys begin as the pattern does."""
        return self._main.get_stats(pattern)

    def close(self) -> None:
        """Close the connections of all queues."""
        for member in self._members.values():
            member.close()

    def __getstate__(self) -> Any:
        """Pickle as names only."""
        return self.list_key, self._queues

    def __setstate__(self, state: Any) -> None:
        self.__init__(*state)  # type: ignore[misc]


def _nothing_but(errors: list[Exception]) -> list[Lease]:
    """Raise the first error where no queue had anything; it comes again until then."""
    if errors:
        raise errors[0]
    return []
