"""What servers answer: the calls that ask them, and what each has to give.

The first byte of an input chooses the call, the rest is what the server sends; then it hangs up.
"""

from collections.abc import Callable, Sequence
from typing import Any

from django_q.brokers.base import Broker
from django_q.brokers.lease import Lease
from django_q.exceptions import BrokerError, ConfigurationError
from tests.fuzz.target import Finding, outcome_of

Calls = Sequence[tuple[str, Callable[[Any], Any]]]


def calls_of(receipts: list[str], id: str) -> Calls:
    """The calls of the seam, and what each has to give."""
    return (
        ("leases", lambda broker: broker.lease(5)),
        ("texts", lambda broker: broker.enqueue_many(["a", "b"])),
        ("texts", lambda broker: broker.renew(receipts)),
        ("nothing", lambda broker: broker.acknowledge_many(receipts)),
        ("nothing", lambda broker: broker.release(receipts)),
        ("nothing", lambda broker: broker.release(receipts, 30, counted=True)),
        ("bool", lambda broker: broker.delete(id)),
        ("nothing", lambda broker: broker.purge_queue()),
        ("int", lambda broker: broker.queue_size()),
        ("int", lambda broker: broker.lock_size()),
        ("int", lambda broker: broker.release_holder("holder")),
        ("text", lambda broker: broker.info()),
        ("texts", lambda broker: broker.get_stats("django_q:default:cluster:*")),
        ("text", lambda broker: broker.get_stat("django_q:default:cluster:1")),
        ("nothing", lambda broker: broker.set_stat("django_q:default:cluster:1", "x", 5)),
    )


def _is_right(kind: str, found: Any) -> bool:
    if kind == "leases":
        return isinstance(found, list) and all(map(_is_lease, found))
    if kind == "texts":
        return isinstance(found, list) and all(type(each) is str for each in found)
    kinds = {"int": int, "text": str, "bool": bool}
    return kind == "nothing" or found is None or type(found) is kinds[kind]


def _is_lease(lease: Any) -> bool:
    texts = (lease.receipt or "", lease.payload, lease.id)
    return type(lease) is Lease and all(type(text) is str for text in texts) and _is_count(lease)


def _is_count(lease: Lease) -> bool:
    return type(lease.deliveries) is int and lease.deliveries >= 0


def ask(broker: Broker, calls: Calls, number: int) -> str:
    kind, call = calls[number % len(calls)]
    try:
        found = call(broker)
    except (BrokerError, ConfigurationError) as error:
        return outcome_of(error)
    if not _is_right(kind, found):
        raise Finding(f"call {number % len(calls)} gave {found!r:.200}")
    return f"answered {kind}"
