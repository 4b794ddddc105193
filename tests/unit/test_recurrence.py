"""When a schedule is due next, over short months, missing hours and hours that come twice."""

import random
import sys
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest

from django_q import recurrence
from django_q.recurrence import Cadence, advance, advance_cron, anchored

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
#: Its clocks jump by half an hour.
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")

HOURLY, DAILY, WEEKLY = Cadence(seconds=3600), Cadence(days=1), Cadence(days=7)
MONTHLY, QUARTERLY, YEARLY = Cadence(months=1), Cadence(months=3), Cadence(months=12)


def at(zone: tzinfo | None, *face: int, fold: int = 0) -> datetime:
    """The moment when the clocks of the zone show this."""
    local = datetime(*face, tzinfo=zone, fold=fold)  # type: ignore[arg-type, misc]
    return local.astimezone(UTC) if zone else local


def series(cadence: Cadence, start: datetime, count: int, zone: tzinfo | None) -> list[datetime]:
    """The due times after `start`, each reckoned from the one before and the anchor."""
    found, anchor = [start], start
    for _ in range(count):
        found.append(advance(cadence, found[-1], anchor=anchor, zone=zone))
        anchor = anchored(cadence, found[-1], anchor, zone)
    return found[1:]


def faces(moments: list[datetime], zone: tzinfo, form: str) -> list[str]:
    return [moment.astimezone(zone).strftime(form) for moment in moments]


# Calendars.


def test_the_31st_comes_back_after_a_short_month() -> None:
    due = series(MONTHLY, at(BERLIN, 2026, 1, 31, 9), 5, BERLIN)

    assert faces(due, BERLIN, "%d.%m. %H:%M") == [
        *("28.02. 09:00", "31.03. 09:00", "30.04. 09:00", "31.05. 09:00", "30.06. 09:00")
    ]


def test_the_29th_of_february_comes_back_in_a_leap_year() -> None:
    due = series(YEARLY, at(BERLIN, 2024, 2, 29, 12), 4, BERLIN)

    assert faces(due, BERLIN, "%Y-%m-%d") == [
        *("2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29")
    ]


def test_a_quarter_has_three_months() -> None:
    due = series(QUARTERLY, at(UTC, 2025, 11, 30), 4, UTC)

    assert faces(due, UTC, "%Y-%m-%d") == [
        *("2026-02-28", "2026-05-30", "2026-08-30", "2026-11-30")
    ]


def test_the_day_is_that_of_the_zone() -> None:
    # Half past midnight of 1 March in Berlin is still February in UTC.
    due = series(MONTHLY, at(BERLIN, 2026, 3, 1, 0, 30), 2, BERLIN)

    assert faces(due, BERLIN, "%d.%m. %H:%M") == ["01.04. 00:30", "01.05. 00:30"]


def test_a_moment_off_the_anchors_grid_starts_a_new_one() -> None:
    anchor, moved = at(UTC, 2026, 1, 31, 9), at(UTC, 2026, 2, 10, 9)

    assert anchored(MONTHLY, moved, anchor, UTC) == moved
    assert advance(MONTHLY, moved, anchor=anchor, zone=UTC) == at(UTC, 2026, 3, 10, 9)


def test_without_an_anchor_the_moment_itself_counts() -> None:
    assert advance(MONTHLY, at(UTC, 2026, 2, 28), zone=UTC) == at(UTC, 2026, 3, 28)


# Clocks that are put forward and back.


def test_a_daily_time_stays_on_the_clock() -> None:
    for first in (at(BERLIN, 2026, 3, 28, 9), at(BERLIN, 2026, 10, 24, 9)):
        due = series(DAILY, first, 3, BERLIN)

        assert faces(due, BERLIN, "%H:%M") == ["09:00"] * 3


@pytest.mark.parametrize("cadence", [WEEKLY, MONTHLY, YEARLY])
def test_longer_steps_stay_on_the_clock_too(cadence: Cadence) -> None:
    due = series(cadence, at(NEW_YORK, 2026, 3, 1, 23, 45), 40, NEW_YORK)

    assert set(faces(due, NEW_YORK, "%H:%M")) == {"23:45"}


def test_a_time_in_the_missing_hour_is_late_once_and_does_not_stay_so() -> None:
    due = series(DAILY, at(BERLIN, 2026, 3, 28, 2, 30), 2, BERLIN)

    assert faces(due, BERLIN, "%d. %H:%M") == ["29. 03:30", "30. 02:30"]


def test_a_time_in_the_hour_that_comes_twice_is_the_first() -> None:
    due = series(DAILY, at(BERLIN, 2026, 10, 24, 2, 30), 2, BERLIN)

    assert due == [at(BERLIN, 2026, 10, 25, 2, 30), at(BERLIN, 2026, 10, 26, 2, 30)]


def test_an_anchor_in_the_second_of_two_hours_is_kept() -> None:
    second = at(BERLIN, 2026, 10, 25, 2, 30, fold=1)

    assert anchored(DAILY, second, second, BERLIN) == second
    assert series(DAILY, second, 1, BERLIN) == [at(BERLIN, 2026, 10, 26, 2, 30)]


def test_half_an_hour_is_kept_apart_as_well() -> None:
    due = series(DAILY, at(LORD_HOWE, 2026, 10, 3, 2, 10), 2, LORD_HOWE)

    assert faces(due, LORD_HOWE, "%d. %H:%M") == ["04. 02:40", "05. 02:10"]


def test_hours_are_real_hours() -> None:
    due = series(HOURLY, at(BERLIN, 2026, 3, 29, 0), 4, BERLIN)

    assert faces(due, BERLIN, "%H") == ["01", "03", "04", "05"]


def test_naive_moments_stay_naive() -> None:
    assert advance(DAILY, datetime(2026, 3, 28, 9)) == datetime(2026, 3, 29, 9)
    assert advance(HOURLY, datetime(2026, 3, 28, 9)) == datetime(2026, 3, 28, 10)


# Passing over what was missed.


def test_what_was_missed_can_be_passed_over() -> None:
    now = at(UTC, 2026, 6, 1, 12)

    assert advance(HOURLY, at(UTC, 2026, 1, 1, 0, 7), after=now, zone=UTC) == at(
        UTC, 2026, 6, 1, 12, 7
    )
    assert advance(MONTHLY, at(UTC, 2025, 12, 31), after=now, zone=UTC) == at(UTC, 2026, 6, 30)


def test_a_due_time_that_is_now_is_passed_over_too() -> None:
    now = at(UTC, 2026, 6, 1, 12)

    assert advance(DAILY, at(UTC, 2026, 1, 1, 12), after=now, zone=UTC) == at(UTC, 2026, 6, 2, 12)


def test_an_earlier_limit_changes_nothing() -> None:
    previous = at(UTC, 2026, 6, 1)

    assert advance(DAILY, previous, after=at(UTC, 2020, 1, 1), zone=UTC) == at(UTC, 2026, 6, 2)


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, LORD_HOWE, UTC])
@pytest.mark.parametrize("cadence", [HOURLY, DAILY, WEEKLY, MONTHLY, QUARTERLY, YEARLY])
def test_a_leap_lands_where_single_steps_would(cadence: Cadence, zone: tzinfo) -> None:
    chance = random.Random(f"{cadence} {zone}")
    for _ in range(20):
        start = at(UTC, 2026, 1, 1) + timedelta(minutes=chance.randrange(600_000))
        steps = series(cadence, start, 30, zone)
        number = chance.randrange(29)

        assert steps == sorted(set(steps))
        limit = steps[number] + (steps[number + 1] - steps[number]) * chance.random()
        assert advance(cadence, start, anchor=start, after=limit, zone=zone) == steps[number + 1]


# Cron.


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("*/5 * * * *", "2026-06-03 10:10:00"),
        ("0 22 * * 1-5", "2026-06-03 22:00:00"),
        ("0 9 31 * *", "2026-07-31 09:00:00"),
        ("0 9 1 * mon", "2026-06-08 09:00:00"),  # day or weekday, as crontab(5) says
        ("0 0 29 2 *", "2028-02-29 00:00:00"),
        ("0 0 * * 7", "2026-06-07 00:00:00"),
        ("@daily", "2026-06-04 00:00:00"),
        ("@Yearly", "2027-01-01 00:00:00"),
        ("* * * * * */15", "2026-06-03 10:07:45"),  # a sixth field: seconds, last
        ("30 10 * * * 5", "2026-06-03 10:30:05"),
    ],
)
def test_a_cron_expression_is_due_at_its_next_match(expression: str, expected: str) -> None:
    due = advance_cron(expression, at(UTC, 2026, 6, 3, 10, 7, 30), UTC)

    assert f"{due:%Y-%m-%d %H:%M:%S}" == expected


def test_a_match_right_now_is_not_the_next_one() -> None:
    assert advance_cron("0 * * * *", at(UTC, 2026, 6, 3, 10), UTC) == at(UTC, 2026, 6, 3, 11)
    almost = at(UTC, 2026, 6, 3, 10) - timedelta(microseconds=1)
    assert advance_cron("0 * * * *", almost, UTC) == at(UTC, 2026, 6, 3, 10)


def test_cron_goes_by_the_clock_of_the_zone() -> None:
    assert advance_cron("0 9 * * *", at(UTC, 2026, 1, 1), BERLIN) == at(BERLIN, 2026, 1, 1, 9)
    assert advance_cron("0 9 * * *", datetime(2026, 1, 1)) == datetime(2026, 1, 1, 9)


def test_a_cron_time_in_the_missing_hour_runs_after_it() -> None:
    due = advance_cron("30 2 * * *", at(BERLIN, 2026, 3, 28, 12), BERLIN)

    assert due == at(BERLIN, 2026, 3, 29, 3)


def test_cron_never_goes_back_in_the_hour_that_comes_twice() -> None:
    now = at(BERLIN, 2026, 10, 25, 2, 10, fold=1)

    assert advance_cron("45 2 * * *", now, BERLIN) == at(BERLIN, 2026, 10, 26, 2, 45)


@pytest.mark.parametrize("expression", ["* * * * *", "*/10 * * * *", "30 * * * *"])
def test_cron_goes_through_the_hour_that_comes_twice(expression: str) -> None:
    now, end = at(BERLIN, 2026, 10, 25, 1), at(BERLIN, 2026, 10, 25, 4)
    moments = [now]
    while moments[-1] < end:
        moments.append(advance_cron(expression, moments[-1], BERLIN))

    assert moments == sorted(set(moments))
    assert {moment.hour for moment in moments[1:]} >= {0, 1}  # both, in UTC


@pytest.mark.parametrize(
    "expression",
    ["", "* * * *", "61 * * * *", "0 22 * * 1-12", "a b c d e", "0 0 * * 5L/2", "* * * * * * * *"],
)
def test_a_wrong_cron_expression_is_named(expression: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "croniter", None)

    with pytest.raises(ValueError, match="cron expression"):
        advance_cron(expression, at(UTC, 2026, 1, 1), UTC)


def test_a_cron_expression_that_never_matches_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "croniter", None)

    with pytest.raises(ValueError, match="31 2"):
        advance_cron("0 0 31 2 *", at(UTC, 2026, 1, 1), UTC)


def test_croniter_reads_what_cronsim_does_not() -> None:
    pytest.importorskip("croniter")

    assert advance_cron("0 0 * * fri-mon", at(UTC, 2026, 6, 1), UTC) == at(UTC, 2026, 6, 5)


@pytest.mark.parametrize("expression", ["9" * 5000, "5L/2 * * * *", "", "* * * * * * * *", "\0"])
def test_what_cannot_be_explained_is_not(expression: str) -> None:
    assert recurrence.explain_cron(expression) == ""
