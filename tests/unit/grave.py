"""A worker that died, as it stands in its slot, and the burial it gets."""

import time
from collections.abc import Sequence

from django.utils import timezone

from django_q.brokers import Broker, Lease
from django_q.brokers.memory import Memory
from django_q.cluster.burial import Burial
from django_q.cluster.scoreboard import Cause, Holdings, Mark, Obituary, Phase
from django_q.cluster.settlement import Settlement
from django_q.exceptions import BrokerUnavailable
from django_q.models import Ledger
from django_q.package import Outcome, build_package
from django_q.recorder import pack, prepare
from django_q.sealed import seal_package
from tests.unit.desk import Desk

KILLED = Obituary(12, -9, Cause.NONE)


class Moody(Memory):
    """Can be switched off for giving back."""

    is_away = False

    def release(
        self, receipts: Sequence[str], delay: float = 0.0, *, counted: bool = False
    ) -> None:
        if self.is_away:
            raise BrokerUnavailable("away")
        super().release(receipts, delay, counted=counted)


class Grave:
    """A worker that died, and what is to be done about it."""

    def __init__(self, broker: Broker, places: int = 1) -> None:
        self.broker = broker
        desk = Desk(broker, places)
        self.slot, self._board = desk.slot, desk.board
        self.burial = Burial(broker, Settlement(broker, desk.stores), desk.stores)

    def lease(self, count: int) -> list[Lease]:
        """Lease new packages for the worker; they stand in its slot."""
        packages = [build_package("tests.site.tasks.noop", (), {}, {}) for _ in range(count)]
        self.broker.enqueue_many([seal_package(package, "default") for package in packages])
        leases = self.broker.lease(count)
        for lease in leases:
            lease.key = f"default:{lease.id}"
        receipts = tuple(str(lease.receipt) for lease in leases)
        self.slot.write_holdings(Holdings(self.broker.holder, receipts))
        return leases

    def mark(
        self, lease: Lease, phase: Phase = Phase.RUNNING, until: float = 0.0, place: int = 0
    ) -> None:
        """Say what the worker was at."""
        since = time.monotonic() - 5
        mark = Mark(phase, lease.receipt, lease.key, since, until, "0" * 32, "deadly", "app.work")
        self.slot.write_mark(mark, place)

    def finish(self, lease: Lease) -> str:
        """Write an outcome into the journal; give the id of its task."""
        package = build_package("tests.site.tasks.noop", (), {}, {})
        now = timezone.now()
        _, record = prepare(Outcome(package, True, "finished", now, now), lease)
        self.slot.journal.append(pack(record))
        return package["id"]

    def bury(self, obituary: Obituary = KILLED) -> None:
        """Do what the housekeeper does."""
        self.burial.bury(self.slot, obituary)

    def back(self) -> dict[str, int]:
        """Take what is at the broker again: ids and how often they were delivered."""
        return {lease.id: lease.deliveries for lease in self.broker.lease(100)}


def deaths() -> dict[str, int]:
    """Give what is charged to each package."""
    return dict(Ledger.objects.values_list("key", "deaths"))
