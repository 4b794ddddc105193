"""Burials of workers whose task somebody wanted to end, and how the housekeeper decides that."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from django_q.cluster import cancelling
from django_q.cluster.cancelling import Cancelling
from django_q.cluster.scoreboard import Cause, Mark, Obituary, Phase, State
from django_q.models import Ledger
from django_q.results import cancellations
from tests.unit.desk import Desk
from tests.unit.grave import KILLED, Grave, Moody, deaths

Configure = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("database")

CANCELLED = Obituary(12, -9, Cause.CANCELLED)


@pytest.fixture
def grave(q_cluster: Configure) -> Grave:
    q_cluster()
    return Grave(Moody(), places=2)


def mark(task_id: str, phase: Phase = Phase.RUNNING) -> Mark:
    return Mark(phase, "r", "k", time.monotonic(), 0.0, task_id, "n", "f.g")


@pytest.mark.parametrize("end", [CANCELLED, KILLED])
def test_a_cancelled_task_is_condemned_and_charged_to_nobody(grave: Grave, end: Obituary) -> None:
    ran, waited = grave.lease(2)
    grave.mark(ran)
    cancellations.ask(["0" * 32])

    grave.bury(end)

    row = Ledger.objects.get()
    assert (row.key, row.deaths, row.verdict) == (ran.key, 0, "The task was cancelled")
    assert grave.back() == {ran.id: 2, waited.id: 1}


def test_what_ran_in_its_place_or_beside_it_goes_back_uncharged(grave: Grave) -> None:
    ran, other = grave.lease(2)
    grave.mark(ran)
    grave.mark(other, place=1)
    cancellations.ask(["1" * 32])

    grave.bury(CANCELLED)

    assert deaths() == {}
    assert set(grave.back()) == {ran.id, other.id}


@pytest.fixture
def desk(q_cluster: Configure) -> Desk:
    q_cluster(grace=3)
    desk = Desk(Moody())
    desk.slot.set("pid", 12)
    desk.slot.set("state", State.BUSY)
    return desk


@pytest.mark.parametrize(("kill", "after"), [(True, 1.0), (False, 3.0)])
def test_a_deaf_task_is_given_its_time(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, kill: bool, after: float
) -> None:
    now = [time.monotonic()]
    monkeypatch.setattr("django_q.cluster.cancelling.time.monotonic", lambda: now[0])
    desk.slot.write_mark(mark("a"))
    cancellations.ask(["a"], kill=kill)
    housekeeper = Cancelling(desk.board, [desk.slot])

    condemned = []
    for pause in (0.0, after - 0.1, 0.2):
        now[0] += pause
        housekeeper.look()
        condemned.append(desk.slot.get("condemned"))

    assert condemned == [0, 0, 12]


def test_the_next_task_is_given_its_own_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelling, "_MOMENT", 0.0)
    cancellations.ask(["a"], kill=True)
    housekeeper = Cancelling(desk.board, [desk.slot])

    for other in (mark("b"), mark("a", Phase.SETTLING), None):
        desk.slot.write_mark(other)
        housekeeper.look()

    assert not desk.slot.get("condemned")


def test_the_number_on_the_board_changes_with_the_wishes(desk: Desk) -> None:
    housekeeper = Cancelling(desk.board, [desk.slot])
    numbers = []

    for task_ids in ([], ["a"], [], ["b"], ["a"]):
        if task_ids:
            cancellations.ask(task_ids)
        housekeeper.look()
        numbers.append(desk.board.wishes)
    cancellations.uncancel([("a",), ("b",)])
    housekeeper.look()

    assert numbers[0] == desk.board.wishes == 0
    assert numbers[1] == numbers[2]
    assert len({*numbers[1:]}) == 3
