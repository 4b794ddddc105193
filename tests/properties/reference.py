"""The model: the memory broker on a clock that only a test turns, with what its order promises."""

import dataclasses
from collections.abc import Sequence

from django_q.brokers.lease import Lease
from django_q.brokers.memory import Memory


class Clock:
    """Stands where the memory broker has the module `time`."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """Seconds since the beginning of the test."""
        return self.now


@dataclasses.dataclass
class Package:
    """One package as the model and the broker under test know it."""

    payload: str
    #: Its id in the model.
    id: str
    #: Its id in the broker under test; "" while nobody knows it.
    tracking_id: str
    priority: int
    #: It was enqueued without a delay and never leased: among its equals it comes in turn.
    is_fresh: bool
    #: It was given back without a delay: it comes before its fresh equals.
    is_in_front: bool = False
    #: How often it was delivered; None while the seam does not say.
    deliveries: int | None = 0

    def goes_before(self, other: "Package", *, is_lapsed: bool, is_other_lapsed: bool) -> bool:
        """Tell whether the seam promises that this one is lent before the other, both ready."""
        if not is_lapsed and not is_other_lapsed and self.priority != other.priority:
            return self.priority > other.priority
        if self.priority != other.priority or not other.is_fresh or is_other_lapsed:
            return False
        number, other_number = (int(each.payload.split()[1]) for each in (self, other))
        return is_lapsed or self.is_in_front or (self.is_fresh and number < other_number)


class Reference(Memory):
    """The memory broker, which can be told what the broker under test has lent."""

    def ready(self) -> set[str]:
        """Ids of what may be lent now."""
        return set(self._ready())

    def lend(self, ids: Sequence[str]) -> list[Lease]:
        """Lend just these."""
        return [self._lend(id, self._entries[id]) for id in ids]

    def is_there(self, id: str) -> bool:
        """Whether the package was neither acknowledged nor deleted."""
        return id in self._entries

    def is_lapsed(self, id: str) -> bool:
        """Whether its lease is over, and nobody has leased it since."""
        entry = self._entries[id]
        return entry.token is not None and id in self.ready()

    def is_held(self, receipt: str) -> bool:
        """Whether the receipt is the last one of its package, which was not given back since."""
        return bool(self._held([receipt]))

    def count(self) -> int:
        """Count all packages, in whatever state."""
        return len(self._entries)
