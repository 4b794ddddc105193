"""A package on loan."""

from typing import Any, Self

from django_q.disguise import from_wire


class Lease(tuple[str | None, str]):
    """A package on loan: the pair `(receipt, payload)`, with what else the broker knows of it.

    `receipt` names this one loan and is None where the package is gone once it was delivered.
    """

    #: The tracking id that `enqueue` returned; "" where the broker does not tell.
    id: str
    #: How often the package was delivered, this time included; 0 where the broker does not count:
    #: then its past is looked up each time.
    deliveries: int
    #: Name of the package in the ledger; set by who leased it.
    key: str = ""
    #: The queue it came from; set by who leased it.
    queue: str = ""
    #: When the lease lapses, on the monotonic clock of who leased it; 0 once it is lost.
    until: float = 0.0
    #: What it holds, opened before its turn by who leased it, until that comes; "" where it was not
    #: tried, None where it may run code.
    package: Any = ""
    #: How often the housekeeper had recalled this worker's leases before this one.
    recall: int = 0
    #: Seconds for which it is held back when it is given back.
    pause: float = 0.0
    #: That was a run, which counts when it is given back.
    is_counted: bool = False
    #: Which of its worker's places it has taken, and what the slot says of it.
    place: int = 0
    phase: str = ""

    def __new__(cls, receipt: str | None, payload: str, id: str = "", deliveries: int = 1) -> Self:
        """Make the pair `(receipt, payload)` with what the broker knows beside it."""
        lease = tuple.__new__(cls, (receipt, payload))
        lease.id = id
        lease.deliveries = deliveries
        return lease

    @property
    def receipt(self) -> str | None:
        """What `acknowledge`, `renew` and `release` take."""
        return self[0]

    @property
    def payload(self) -> str:
        """The sealed package."""
        return self[1]

    def __getnewargs__(self) -> tuple[str | None, str]:
        """Let a lease be copied and pickled, with all it knows."""
        return self[0], self[1]


def as_leases(delivered: Any) -> list[Lease]:
    """Bring what a `dequeue` may return (list of pairs, one pair, None) into one form."""
    pairs = [delivered] if delivered and isinstance(delivered, tuple) else delivered or ()
    return [pair if isinstance(pair, Lease) else _lease_of(*pair) for pair in pairs]


def _lease_of(receipt: Any, payload: Any) -> Lease:
    """Make a lease of an old broker's pair: bytes, integers, None, as its client gave them."""
    text = from_wire(payload) if isinstance(payload, bytes) else str(payload)
    return Lease(receipt, text, deliveries=1 if receipt is None else 0)
