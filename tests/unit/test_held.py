"""What a clerk holds: a package that two servers lend is taken once."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from django_q.brokers import Lease
from django_q.brokers.memory import Memory
from tests.unit.desk import Desk
from tests.waiting import wait_until

Configure = Callable[..., Any]


class Twofold(Memory):
    """Lends what it has once more, as a second server would that keeps it, too."""

    def lease(self, limit: int = 1, wait: float = 0.0) -> list[Lease]:
        """Lend packages, or again those that are lent."""
        found = super().lease(limit, 0.0)
        lent = [Lease(f"{lease.receipt}@2", lease[1], lease.id) for lease in found]
        again, self.left = self.left, lent
        return found or again

    left: Sequence[Any] = ()


def test_what_is_lent_twice_is_taken_once(
    database: str, q_cluster: Configure, caplog: pytest.LogCaptureFixture
) -> None:
    q_cluster()
    with caplog.at_level("INFO"), contextlib.closing(Desk(Twofold()).start()) as desk:
        desk.broker.enqueue("package")
        first = desk.take()
        desk.rest()

        wait_until(lambda: "was lent twice" in caplog.text, what="the second lease")

        assert first is not None
        assert desk.gets_nothing()
        assert desk.broker.renew([str(first.receipt)])
        desk.finish(first)
        wait_until(lambda: desk.broker.lock_size() == 0, what="the outcome to be settled")
