"""How often a package was delivered, and what a worker makes of it."""

from collections.abc import Sequence
from typing import Any

import pytest

from django_q.brokers import Lease
from django_q.enqueue import async_task
from django_q.models import Task
from django_q.package import build_package
from django_q.results import ledger
from django_q.sealed import seal_package
from tests.unit.desk import Desk, Quick
from tests.unit.test_worker_past import (
    _seen,
    desk,  # noqa: F401, a fixture
    fail_and_note,
    note,
)

pytestmark = pytest.mark.usefixtures("database")


def test_failures_that_come_back_are_no_lost_leases(desk: Any, q_cluster: Any) -> None:  # noqa: F811
    q_cluster(ack_failures=False, retry=0.15, max_attempts=8, max_lost=2)
    async_task(fail_and_note, broker=desk.broker)

    desk.work(until=lambda: len(_seen) >= 6)

    assert "on purpose" in Task.objects.get().result


def test_a_broken_link_after_a_recorded_success_kills_nobody(desk: Any) -> None:  # noqa: F811
    package = build_package(note, (), {}, {})
    package["chain"] = [("nodot",)]  # of a producer that does not look
    desk.broker.enqueue(seal_package(package, "default"))
    (lease,) = desk.broker.lease()
    desk.broker.release([str(lease.receipt)], counted=True)
    moment = "2026-01-01T00:00:00Z"
    Task.objects.create(id=package["id"], name="n", func="f", started=moment, stopped=moment)

    desk.work()

    assert _seen == []


class Released(Quick):
    """A broker whose server counts what we give back as delivered."""

    release_counts = True

    def release(
        self, receipts: Sequence[str], delay: float = 0.0, *, counted: bool = False
    ) -> None:
        super().release(receipts, delay, counted=True)


def test_releases_that_the_server_counts_are_no_lost_leases(q_cluster: Any) -> None:
    q_cluster(max_lost=3)
    _seen.clear()
    place = Desk(Released())
    try:
        async_task(note, broker=place.broker)
        for _ in range(6):
            (lease,) = place.broker.lease()
            place.broker.release([lease.receipt])

        place.work()

        assert _seen == ["ran"]
    finally:
        place.close()


class Uncounted(Quick):
    """A broker of one's own that has receipts and does not count."""

    def lease(self, limit: int = 1, wait: float = 0.0) -> list[Lease]:
        leases = super().lease(limit, wait)
        return [Lease(lease.receipt, lease.payload, lease.id, 0) for lease in leases]


def test_a_deadly_task_is_stopped_where_the_broker_does_not_count() -> None:
    _seen.clear()
    place = Desk(Uncounted())
    try:
        async_task(note, broker=place.broker)
        (lease,) = place.broker.lease()
        place.broker.release([lease.receipt], counted=True)
        for _ in range(3):
            ledger.charge_death(f"default:{lease.id}", "signal SIGKILL")

        place.work()

        assert _seen == []
    finally:
        place.close()
