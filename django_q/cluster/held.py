"""The leases a worker has: what its slot says of them, and keeping them. Used by its clerk."""

import time
from collections.abc import Iterable, Iterator

from django_q.brokers import Broker, Lease
from django_q.cluster.patience import Patience
from django_q.cluster.scoreboard import Holdings, Slot
from django_q.conf import Conf, logger


class HeldLeases:
    """Leases by their receipts. Those without a receipt are gone from their broker already."""

    def __init__(self, broker: Broker, slot: Slot) -> None:
        self._broker = broker
        self._slot = slot
        self._leases: dict[str, Lease] = {}
        self._next_renewal = time.monotonic() + Conf.RETRY / 3

    def __len__(self) -> int:
        return len(self._leases)

    def __iter__(self) -> Iterator[Lease]:
        return iter(list(self._leases.values()))

    def write(self) -> bool:
        """Say in the slot what is held; False when it does not fit."""
        return self._slot.write_holdings(Holdings(self._broker.holder, tuple(self._leases)))

    def take(self, leases: list[Lease]) -> tuple[list[Lease], list[Lease]]:
        """Take leases and say so in the slot: those that are held, and those that do not fit.

        What the slot cannot hold would wait for `retry` after a death: it is not kept. What is held
        already, by a lease of another server that keeps it, is in neither.
        """
        leases = self._without_held(leases)
        self._leases |= {lease[0]: lease for lease in leases if lease[0] is not None}
        extra: list[Lease] = []
        while not self.write():
            half = len(leases) // 2
            self.drop(lease.receipt for lease in leases[half:])
            leases, extra = leases[:half], leases[half:] + extra
            if not half:
                break
        return leases, extra

    def _without_held(self, leases: list[Lease]) -> list[Lease]:
        """Leave out packages that were lent twice: they would run twice, one after the other.

        A second lease is not given back, since the server may end both with it: it lapses.
        """
        if not self._leases:
            return leases
        held = {lease.key for lease in self._leases.values()}
        if held.isdisjoint(lease.key for lease in leases):
            return leases
        now = time.monotonic()
        # One that has lapsed is not started any more.
        held = {lease.key for lease in self._leases.values() if lease.until > now}
        for lease in leases:
            if lease.key in held:
                logger.info("A package [%s] was lent twice; it is in hand already", lease.id)
        return [lease for lease in leases if lease.key not in held]

    def drop(self, receipts: Iterable[str | None]) -> None:
        """Forget leases that are settled or given back."""
        for receipt in receipts:
            self._leases.pop(receipt or "", None)

    def renew(self, now: float, patience: Patience) -> None:
        """Prolong all of them at a third of their time; one that was lost must not be started."""
        if now < self._next_renewal or not self._broker.can_renew or not self._leases:
            return
        receipts = list(self._leases)
        valid = patience.call(lambda: self._broker.renew(receipts))
        if valid is None:
            self._next_renewal = now + min(1.0, Conf.RETRY / 6)
            return
        self._next_renewal = now + Conf.RETRY / 3
        for receipt in valid:
            self._leases[receipt].until = now + Conf.RETRY
        for receipt in set(receipts) - set(valid):
            self._leases.pop(receipt).until = 0.0
