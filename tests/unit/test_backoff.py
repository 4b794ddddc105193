"""Back-off: how long to wait before the next try."""

import logging

import pytest

from django_q.cluster import backoff
from django_q.cluster.backoff import Backoff
from tests.unit.clock import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(backoff, "time", made)
    return made


def test_the_first_try_waits_for_nothing() -> None:
    tried = Backoff()

    assert not tried.is_waiting
    assert tried.left == 0.0
    assert not tried.succeed()


def test_pauses_double_up_to_a_ceiling() -> None:
    tried = Backoff()

    pauses = [tried.fail() for _ in range(12)]

    for number, pause in enumerate(pauses):
        wanted = min(Backoff.LONGEST, Backoff.FIRST * 2**number)
        assert 0.8 * wanted <= pause <= 1.2 * wanted


def test_workers_that_fail_together_do_not_come_back_together() -> None:
    assert len({Backoff().fail() for _ in range(20)}) > 10


def test_a_failure_is_waited_out(clock: Clock) -> None:
    tried = Backoff()

    pause = tried.fail()

    assert tried.is_waiting
    assert tried.left == pytest.approx(pause)
    clock.now += pause - 0.01
    assert tried.is_waiting
    clock.now += 0.02
    assert not tried.is_waiting
    assert tried.left == 0.0


def test_a_success_is_told_once_and_begins_anew(clock: Clock) -> None:
    tried = Backoff()
    for _ in range(5):
        tried.fail()

    assert tried.succeed()

    assert not tried.succeed()
    assert not tried.is_waiting
    assert tried.fail() <= 1.2 * Backoff.FIRST


def test_a_trouble_is_told_at_once_and_then_once_a_minute(clock: Clock) -> None:
    tried, told = Backoff(), 0

    for _ in range(180):
        tried.fail()
        told += tried.level == logging.ERROR
        clock.now += 1

    assert told == 3
    tried.succeed()
    tried.fail()
    assert tried.level == logging.ERROR
