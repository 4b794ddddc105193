"""Giving leases back to their broker: to the front, or held back for a time."""

from collections.abc import Sequence

from django_q.brokers import Broker, Lease
from django_q.dispatch import dispatch
from django_q.package import Follower


def together(leases: Sequence[Lease]) -> list[list[Lease]]:
    """Part leases into those that go back in one call.

    What has no receipt goes alone: after a failure in the midst of several nobody could tell which
    were put in anew, and they would run twice or never.
    """
    groups: dict[tuple[object, ...], list[Lease]] = {}
    for lease in leases:
        alone = id(lease) if lease.receipt is None else None
        groups.setdefault((lease.queue, lease.pause, lease.is_counted, alone), []).append(lease)
    return list(groups.values())


def give_back(broker: Broker, leases: Sequence[Lease]) -> bool:
    """Give leases back that are `together`, after their pause; without a receipt, put it in anew.

    Where the broker cannot take a lease back, it lapses.
    """
    first = leases[0]
    if first.receipt is None:
        queue = first.queue or broker.list_key
        dispatch(broker.of_queue(queue), [Follower(queue, first.payload, first.pause)])
    elif broker.can_release:
        receipts = [lease.receipt for lease in leases if lease.receipt is not None]
        # A broker of one's own may know of no more.
        more = {"counted": True} if first.is_counted else {}
        broker.release(receipts, first.pause, **more)
    return True
