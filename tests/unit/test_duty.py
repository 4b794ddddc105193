"""Duties of the housekeeper: each is tried again, and a server that is away is told of once."""

import logging
import math
from typing import NoReturn

import pytest

from django_q.cluster import backoff, duty
from django_q.cluster.duty import Duty, News
from django_q.exceptions import BrokerUnavailable, ResultsUnavailable
from tests.unit.test_backoff import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(backoff, "time", made)
    monkeypatch.setattr(duty, "time", made)
    return made


class Work:
    """Fails while it is told to."""

    trouble: Exception | None = None

    def do(self) -> None:
        if self.trouble is not None:
            raise self.trouble


def away(text: str) -> ResultsUnavailable:
    """Give what a duty raises while the database is away: its own words, and the same cause."""
    error = ResultsUnavailable(text)
    error.__cause__ = OSError("connection refused")
    return error


def test_what_makes_all_duties_fail_is_told_once_a_minute(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    news, works = News(), [Work() for _ in range(5)]
    duties = [Duty(news, f"duty {n}", 0.0, work.do) for n, work in enumerate(works)]
    for n, work in enumerate(works):
        work.trouble = away(f"The table {n} cannot be read.")

    with caplog.at_level(logging.INFO):
        for _ in range(1190):  # two minutes but a second
            for each in duties:
                each.do_when_due()
            clock.now += 0.1
        for work in works:
            work.trouble = None
        clock.now += 10
        for each in duties:
            each.do_when_due()

    told = [record.levelname for record in caplog.records]
    assert told.count("ERROR") == 2
    assert 1 <= told.count("INFO") <= 2


def test_another_cause_is_told_at_once(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> NoReturn:
        raise BrokerUnavailable("The broker is away.")

    def fail_too() -> NoReturn:
        raise away("The ledger cannot be read.")

    news = News()

    for do in (fail, fail_too):
        Duty(news, "duty", 0.0, do).do_when_due()

    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


def test_duties_of_one_period_are_done_in_one_round(clock: Clock) -> None:
    done: list[str] = []

    def slow() -> None:
        done.append("slow")
        clock.now += 0.02

    duties = [
        Duty(News(), "slow", 0.5, slow),
        Duty(News(), "quick", 0.5, lambda: done.append("quick")),
    ]
    for _ in range(3):
        for each in duties:
            each.do_when_due()
        clock.now += min(each.due_in for each in duties)

    assert done == ["slow", "quick"] * 3


@pytest.mark.parametrize("sooner", [0.05, 0.2, 0.3, 0.45])
def test_duties_that_fell_out_of_step_are_soon_done_in_one_round_again(
    clock: Clock, sooner: float
) -> None:
    pauses = iter([sooner])
    rounds: list[list[str]] = []

    def look() -> float:
        rounds[-1].append("looking")
        return next(pauses, math.inf)

    duties = [
        Duty(News(), "looking", 0.5, look),
        Duty(News(), "other", 0.5, lambda: rounds[-1].append("other")),
    ]
    for _ in range(6):
        rounds.append([])
        for each in duties:
            each.do_when_due()
        clock.now += min(each.due_in for each in duties)

    assert rounds[3:] == [["looking", "other"]] * 3


def test_what_is_known_to_be_due_sooner_is_done_then_and_not_before(clock: Clock) -> None:
    pauses = iter([0.3, 7.0])
    done: list[float] = []

    def look() -> float:
        done.append(clock.now)
        return next(pauses)

    duty = Duty(News(), "looking", 0.5, look)
    duty.do_when_due()
    began = clock.now

    assert duty.due_in == pytest.approx(0.3)
    clock.now += 0.29
    duty.do_when_due()
    assert len(done) == 1
    clock.now += 0.02
    duty.do_when_due()
    assert done == [began, pytest.approx(began + 0.31)]
    assert duty.due_in == pytest.approx(0.5)


def test_what_is_done_with_the_others_wakes_nobody_but_for_a_new_try(clock: Clock) -> None:
    work = Work()
    duty = Duty(News(), "duty", 0.0, work.do)

    duty.do_when_due()
    assert duty.due_in == math.inf

    work.trouble = away("The table cannot be read.")
    duty.do_when_due()
    assert 0 < duty.due_in < 1
