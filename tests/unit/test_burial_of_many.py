"""Burials of workers that had several tasks side by side."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from django_q.brokers import Lease
from django_q.cluster.scoreboard import Cause, Obituary, Phase
from django_q.models import Ledger
from tests.unit.grave import Grave, Moody, deaths

Configure = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def grave(q_cluster: Configure) -> Grave:
    q_cluster()
    return Grave(Moody(), places=10)


def marked(grave: Grave, *untils: float, phase: Phase = Phase.RUNNING) -> list[Lease]:
    """Mark a lease for each hard limit."""
    leases = grave.lease(len(untils) + 2)
    for place, (lease, until) in enumerate(zip(leases, untils, strict=False)):
        grave.mark(lease, phase, until, place + 3)
    return leases


def test_a_death_is_charged_to_all_that_ran_and_to_none_that_waited(grave: Grave) -> None:
    *ran, first, second = marked(grave, 0.0, 0.0, 0.0)
    grave.mark(ran[2], Phase.SETTLING, place=5)

    grave.bury()

    assert deaths() == {ran[0].key: 1, ran[1].key: 1}
    assert grave.back() == {lease.id: 2 for lease in ran} | {first.id: 1, second.id: 1}


def test_each_is_charged_once_however_often_it_is_tried(grave: Grave) -> None:
    *ran, _, _ = marked(grave, 0.0, 0.0, 0.0)
    assert isinstance(grave.broker, Moody)

    grave.broker.is_away = True
    for _ in range(3):
        with pytest.raises(Exception, match="away"):
            grave.bury()
    grave.broker.is_away = False
    grave.bury()

    assert deaths() == {lease.key: 1 for lease in ran}


def test_what_had_finished_is_settled_and_not_charged(grave: Grave) -> None:
    finished, ran, _, _ = marked(grave, 0.0, 0.0)
    grave.finish(finished)

    grave.bury()

    assert deaths() == {ran.key: 1}
    assert finished.id not in grave.back()


def test_a_hard_limit_condemns_the_late_and_spares_the_others(grave: Grave) -> None:
    now = time.monotonic()
    late, also_late, unlimited, in_time, _, _ = marked(grave, now - 2, now - 2, 0.0, now + 60)

    grave.bury(Obituary(12, -9, Cause.HARD_LIMIT, now - 1.95))

    verdicts = dict(Ledger.objects.values_list("key", "verdict"))
    assert verdicts.keys() == {late.key, also_late.key}
    assert all("hard limit" in str(verdict) for verdict in verdicts.values())
    back = grave.back()
    assert (back[unlimited.id], back[in_time.id]) == (1, 1)  # as if the cluster had been stopped


def test_of_those_that_became_late_since_only_the_first_is_condemned(grave: Grave) -> None:
    now = time.monotonic()
    first, second, _, _ = marked(grave, now - 30, now - 20)

    grave.bury(Obituary(12, -9, Cause.HARD_LIMIT, now - 29.99))

    assert list(Ledger.objects.values_list("key", flat=True)) == [first.key]
    assert second.id in grave.back()


def test_a_stop_is_charged_to_nobody(grave: Grave) -> None:
    leases = marked(grave, 0.0, 0.0)

    grave.bury(Obituary(12, -9, Cause.SHUTDOWN))

    assert deaths() == {}
    assert grave.back() == {lease.id: 1 for lease in leases}
