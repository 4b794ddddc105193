"""Giving leases back to their broker: to the front, or held back for a time."""

from collections.abc import Sequence

from django_q.brokers import Broker, Lease
from django_q.dispatch import dispatch
from django_q.package import Follower


def give_back(broker: Broker, leases: Sequence[Lease]) -> bool:
    """Give leases back, each after its pause; what has no receipt is put in anew.

    Where the broker cannot take a lease back, it lapses.
    """
    groups: dict[tuple[str, float], list[Lease]] = {}
    for lease in leases:
        groups.setdefault((lease.queue or broker.list_key, lease.pause), []).append(lease)
    for (queue, pause), members in groups.items():
        receipts = [lease.receipt for lease in members if lease.receipt is not None]
        loose = [lease.payload for lease in members if lease.receipt is None]
        if loose:
            again = [Follower(queue, payload, pause) for payload in loose]
            dispatch(broker.of_queue(queue), again)
        if receipts and broker.can_release:
            broker.release(receipts, pause)
    return True
