"""Burials: what killed a worker is charged, and what only waited in it goes on."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from django_q.cluster.clerk import EXIT_CLERK_FAILED
from django_q.cluster.scoreboard import Cause, Obituary, Phase
from django_q.models import Ledger
from tests.unit.grave import Grave, Moody, deaths

Configure = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def grave(q_cluster: Configure) -> Grave:
    q_cluster()
    return Grave(Moody())


# What waited.


def test_what_waited_goes_back_at_once_and_uncharged(grave: Grave) -> None:
    running, *waited = grave.lease(4)
    grave.mark(running)

    grave.bury()

    assert grave.back() == {running.id: 2, **{lease.id: 1 for lease in waited}}
    assert deaths() == {running.key: 1}


def test_a_worker_that_was_idle_is_charged_to_nobody(grave: Grave) -> None:
    waited = grave.lease(2)

    grave.bury()

    assert grave.back() == {lease.id: 1 for lease in waited}
    assert deaths() == {}


def test_a_worker_that_had_nothing_is_buried(grave: Grave) -> None:
    grave.bury()

    assert grave.back() == {}


def test_leases_the_worker_had_not_written_down_go_back_too(grave: Grave) -> None:
    (known,) = grave.lease(1)
    grave.broker.enqueue("in a reply that nobody read")
    grave.broker.lease(1)

    grave.bury()

    assert len(grave.back()) == 2
    assert known.id


# What ran.


@pytest.mark.parametrize(
    ("phase", "status", "is_charged"),
    [
        (Phase.RUNNING, -9, True),
        (Phase.RUNNING, 7, True),
        (Phase.RUNNING, 0, True),
        (Phase.OPENING, -11, True),
        (Phase.CHECKING, -9, False),
        (Phase.SETTLING, -9, False),
        (Phase.AFTER, -9, False),
        (Phase.RUNNING, EXIT_CLERK_FAILED, False),
    ],
)
def test_a_death_is_charged_to_what_the_task_did(
    grave: Grave, phase: Phase, status: int, is_charged: bool
) -> None:
    (lease,) = grave.lease(1)
    grave.mark(lease, phase)

    grave.bury(Obituary(12, status, Cause.NONE))

    assert deaths() == ({lease.key: 1} if is_charged else {})
    assert grave.back() == {lease.id: 2}


def test_the_ledger_says_what_it_died_of(grave: Grave) -> None:
    (lease,) = grave.lease(1)
    grave.mark(lease)

    grave.bury(Obituary(12, -11, Cause.NONE))

    row = Ledger.objects.get()
    assert "signal SIGSEGV" in row.reason
    assert row.verdict is None


def test_each_death_counts(grave: Grave) -> None:
    (lease,) = grave.lease(1)
    for pid in (12, 13, 14):
        grave.slot.clear()
        grave.mark(lease)
        grave.bury(Obituary(pid, -9, Cause.NONE))

    assert deaths() == {lease.key: 3}


def test_a_kill_at_the_hard_limit_is_a_verdict(grave: Grave) -> None:
    (lease,) = grave.lease(1)
    grave.mark(lease, until=time.monotonic() - 0.1)

    grave.bury(Obituary(12, -9, Cause.HARD_LIMIT))

    assert "hard limit" in (Ledger.objects.get().verdict or "")
    assert grave.back() == {lease.id: 2}


def test_a_kill_at_a_stop_costs_nothing(grave: Grave) -> None:
    running, waited = grave.lease(2)
    grave.mark(running)

    grave.bury(Obituary(12, -9, Cause.SHUTDOWN))

    assert grave.back() == {running.id: 1, waited.id: 1}
    assert deaths() == {}
