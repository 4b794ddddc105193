"""What was missed while nothing ran: made up for, in bounds, or passed over in one step."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from django_q import recurrence, scheduler
from django_q.brokers.memory import Memory
from django_q.models import Schedule, timing
from django_q.scheduler import Scheduler
from tests.unit.planned import NOW, Configure, make, sent

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def settings(database: str, q_cluster: Configure) -> Configure:
    q_cluster(orm=database)
    return q_cluster


@pytest.fixture
def most(monkeypatch: pytest.MonkeyPatch) -> int:
    """The most that is made up for: less than the real ten thousand, which take their time."""
    for module in (recurrence, timing):
        monkeypatch.setattr(module, "MOST_MISSED", 100)
    return 100


def run_all(now: datetime = NOW, **limits: Any) -> list[str]:
    """Run until nothing is due; the due times that were handed over."""
    broker = Memory()
    looking = Scheduler(broker)
    found: list[str] = []
    while looking.run_due(now, **limits):
        packages = sent(broker)
        while packages:
            found += [package["kwargs"]["due"] for package in packages]
            packages = sent(broker)
    return found


def due(**columns: Any) -> Schedule:
    return make(intended_date_kwarg="due", **columns)


def test_a_day_that_was_missed_is_made_up_for() -> None:
    due(schedule_type="I", minutes=10, next_run=NOW - DAY)

    expected = [(NOW - DAY + n * timedelta(minutes=10)).isoformat() for n in range(6 * 24 + 1)]
    assert run_all() == expected
    assert Schedule.objects.get().next_run == NOW + timedelta(minutes=10)


@pytest.mark.parametrize("by", ["settings", "schedule"])
def test_a_day_that_was_missed_is_passed_over_in_one_step(by: str, settings: Configure) -> None:
    if by == "settings":
        settings(orm="default", catch_up=False)
    due(
        schedule_type="I",
        minutes=10,
        next_run=NOW - DAY,
        catch_up=None if by == "settings" else False,
    )

    assert run_all() == [(NOW - DAY).isoformat()]
    assert Schedule.objects.get().next_run == NOW + timedelta(minutes=10)


def test_a_schedule_may_make_up_where_the_settings_do_not(settings: Configure) -> None:
    settings(orm="default", catch_up=False)
    due(schedule_type="D", next_run=NOW - 3 * DAY, catch_up=True)

    assert len(run_all()) == 4


@pytest.mark.parametrize(
    ("kind", "columns"),
    [("I", {"minutes": 1}), ("S", {"seconds": 1}), ("H", {}), ("D", {}), ("M", {})],
)
def test_a_next_run_of_1970_does_not_flood_the_queue(kind: str, columns: dict[str, int]) -> None:
    due(schedule_type=kind, next_run=datetime(1970, 1, 31, tzinfo=UTC), **columns)
    broker = Memory()
    looking = Scheduler(broker)
    started = time.monotonic()

    enqueued = looking.run_due(NOW)

    assert enqueued <= 101
    assert time.monotonic() - started < 5
    missed = Schedule.objects.get()
    assert missed.next_run
    steps = {"I": 60, "S": 1, "H": 3600, "D": 86_400, "M": 2_419_200}
    assert (NOW - missed.next_run).total_seconds() <= recurrence.MOST_MISSED * steps[kind]


def test_no_more_than_the_last_of_many_are_made_up_for(most: int) -> None:
    due(schedule_type="S", seconds=1, next_run=NOW - 30 * DAY)

    found = run_all(missed=1000)

    assert len(found) == most + 1
    assert found[0] == (NOW - 30 * DAY).isoformat()
    assert found[1] == (NOW - timedelta(seconds=most - 1)).isoformat()
    assert found[-1] == NOW.isoformat()


def test_who_makes_up_for_much_does_not_hold_up_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Time enough on a busy machine too.
    monkeypatch.setattr(scheduler, "_LONGEST_PASS", 60.0)
    due(name="late", schedule_type="S", seconds=1, next_run=NOW - DAY)
    due(name="punctual", schedule_type="D", next_run=NOW)
    broker = Memory()

    Scheduler(broker).run_due(NOW, missed=50)

    groups = [package["group"] for package in sent(broker)]
    assert groups[:2] == ["late", "punctual"]
    assert len(groups) == 52


def test_d28_the_31st_stays_the_31st() -> None:
    due(schedule_type="M", next_run=datetime(2025, 12, 31, 9, tzinfo=UTC))

    days = [text[:10] for text in run_all()]

    assert days == [
        *("2025-12-31", "2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31")
    ]


def test_a_row_of_an_old_producer_keeps_the_day_it_started_from() -> None:
    schedule = due(schedule_type="M", next_run=datetime(2026, 1, 31, 9, tzinfo=UTC))
    assert schedule.anchor is None

    assert [text[5:10] for text in run_all()] == ["01-31", "02-28", "03-31", "04-30", "05-31"]


def test_cron_runs_once_for_all_it_missed() -> None:
    due(schedule_type="C", cron="0 * * * *", next_run=NOW - DAY)

    assert run_all() == [(NOW - DAY).isoformat()]
    assert Schedule.objects.get().next_run == NOW + timedelta(hours=1)


def test_cron_makes_up_where_the_schedule_says_so() -> None:
    due(schedule_type="C", cron="0 * * * *", next_run=NOW - DAY, catch_up=True)

    assert len(run_all()) == 25


@pytest.mark.parametrize("cron", ["* * * * *", "* * * * * *"])
def test_cron_makes_up_in_bounds(cron: str, most: int) -> None:
    due(schedule_type="C", cron=cron, next_run=datetime(1970, 1, 1, tzinfo=UTC), catch_up=True)

    assert 2 < len(run_all(missed=1000)) <= most + 1


def test_repeats_are_used_up_by_what_is_made_up_for() -> None:
    due(schedule_type="H", repeats=3, next_run=NOW - DAY)

    assert len(run_all()) == 3
    assert Schedule.objects.get().repeats == 0


def test_what_fell_due_in_a_pause_is_passed_over() -> None:
    start = timezone.now() - DAY
    schedule = due(schedule_type="H", next_run=start, enabled=False)

    schedule.enabled = True
    schedule.save()

    assert schedule.next_run
    assert timezone.now() < schedule.next_run <= timezone.now() + timedelta(hours=1)
    assert (schedule.next_run - start) % timedelta(hours=1) == timedelta(0)


def test_a_next_run_that_is_set_with_the_end_of_a_pause_counts() -> None:
    schedule = due(schedule_type="H", next_run=NOW, enabled=False)
    chosen = timezone.now() - DAY

    schedule.enabled, schedule.next_run = True, chosen
    schedule.save()

    assert schedule.next_run == chosen
