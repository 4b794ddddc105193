"""Giving leases back to their broker: to the front, or held back for a time."""

from collections.abc import Sequence

from django_q.brokers import Broker, Lease
from django_q.dispatch import dispatch
from django_q.package import Follower


def give_back(broker: Broker, leases: Sequence[Lease]) -> bool:
    """Give leases back, each after its pause; what has no receipt is put in anew.

    Where the broker cannot take a lease back, it lapses.
    """
    by_pause: dict[float, list[Lease]] = {}
    for lease in leases:
        by_pause.setdefault(lease.pause, []).append(lease)
    for pause, members in by_pause.items():
        receipts = [lease.receipt for lease in members if lease.receipt is not None]
        loose = [lease.payload for lease in members if lease.receipt is None]
        if loose:
            dispatch(broker, [Follower(broker.list_key, payload, pause) for payload in loose])
        if receipts and broker.can_release:
            broker.release(receipts, pause)
    return True
