"""How many packages a worker may have waiting: one if tasks are slow, hundreds if quick."""

import time

from django_q.brokers import Broker
from django_q.conf import Conf

#: A batch that ends within this time makes room for one twice as large.
_QUICK = 0.1
#: The same where each call is paid for: half a second of work in one hand saves nine calls of ten.
_QUICK_IF_METERED = 0.5
#: Most packages in an inbox: a batch of outcomes (`outbox`); no-op tasks gain nothing beyond.
_LARGEST = 400


class Room:
    """Grows and shrinks with the time a batch takes. Used by the clerk."""

    def __init__(self, broker: Broker, places: int = 1) -> None:
        # Without renewal, what waits in an inbox would lapse there: one for each free place.
        self._is_single = not (broker.has_receipts and broker.can_renew)
        self._quick = _QUICK_IF_METERED if broker.is_metered else _QUICK
        self._places = places
        self._size = places
        self._asked = 0
        self._leased_at = 0.0

    @property
    def low_water(self) -> int:
        """So few left in the inbox call for the next batch."""
        return self._size // 2

    def wanted(self, waiting: int, held: int, busy_for: float, free: int = 1) -> int:
        """Tell how many to lease now.

        `busy_for`: seconds for which no other task could begin; 0 when one can, in one of the
        `free` places.
        """
        if busy_for > self._quick:
            self._size = self._places
        # With room for one each the pace is not known, or slow: another worker may begin at once.
        is_wary = self._is_single or self._size == self._places
        if busy_for and (is_wary or busy_for > self._quick):
            return 0
        if waiting > self.low_water:
            return 0
        self._grow()
        wanted = (free if self._size == self._places else self._size) - waiting
        if Conf.is_set("queue_limit"):
            wanted = min(wanted, max(Conf.QUEUE_LIMIT, self._places) - held)
        if Conf.is_set("bulk"):
            wanted = min(wanted, Conf.BULK)
        return max(0, wanted)

    def leased(self, asked: int, got: int) -> None:
        """Note the answer to a lease; only a full batch says something about the pace."""
        self._asked = asked if got >= asked else 0
        self._leased_at = time.monotonic()

    def _grow(self) -> None:
        if not self._asked or self._is_single:
            return
        took = time.monotonic() - self._leased_at
        larger = min(max(_LARGEST, self._places), 2 * self._size)
        self._size = larger if took < self._quick else max(self._places, self._size // 2)
        self._asked = 0


def count_places() -> int:
    """Tell how many packages a worker may be at: one, but for threads and a loop."""
    more = [count for count in (Conf.THREADS, Conf.ASYNC_CONCURRENCY) if count > 1]
    return sum(more) or 1
