"""Due times over years, against the truth: a clock that is read minute by minute.

The truth never asks for the moment of a time of day, as the code does. It reads what the clocks of
the zone show at every minute of UTC, and goes through the calendar day by day.
"""

import functools
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from django_q.recurrence import Cadence, advance, advance_cron, anchored

#: Their clocks change on different days, by an hour or by half of one; two are south of the line.
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago")
#: Two leap years among them.
FIRST, LAST = date(2023, 12, 1), date(2028, 4, 1)
MINUTE = timedelta(minutes=1)

every_zone = pytest.mark.parametrize("zone", ZONES)


# The truth.


def clock(zone: str, moment: datetime) -> datetime:
    """What the clocks show."""
    return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)


@functools.cache
def reached(zone: str, face: datetime) -> datetime:
    """The first minute at which the clocks show this, or already more."""
    moment = face.replace(tzinfo=UTC) - timedelta(hours=15)
    # Clocks are less than 15 hours off, and no jump is shorter than a quarter of an hour.
    while clock(zone, moment + 15 * MINUTE) < face:
        moment += 15 * MINUTE
    while clock(zone, moment) < face:
        moment += MINUTE
    return moment


def shown(zone: str, face: datetime) -> datetime:
    """The minute at which the clocks show this, or would if they had not just been put forward."""
    found = reached(zone, face)
    if clock(zone, found) == face:
        return found
    before = found - MINUTE
    return before + (face - clock(zone, before))


def days() -> Iterator[date]:
    day = FIRST
    while day < LAST:
        yield day
        day += timedelta(days=1)


def is_last(day: date) -> bool:
    return (day + timedelta(days=1)).day == 1


def same_day(day: date, wanted: int) -> bool:
    """Whether this is the day of its month, or the last of one that has not so many."""
    return day.day == wanted or (is_last(day) and day.day < wanted)


Rule = Callable[[date, date], bool]
#: Cadence -> which days are due, for a first day.
RULES: dict[str, tuple[Cadence, Rule]] = {
    "daily": (Cadence(days=1), lambda day, first: True),
    "weekly": (Cadence(days=7), lambda day, first: day.weekday() == first.weekday()),
    "biweekly": (Cadence(days=14), lambda day, first: (day - first).days % 14 == 0),
    "monthly": (Cadence(months=1), lambda day, first: same_day(day, first.day)),
    "bimonthly": (
        Cadence(months=2),
        lambda day, first: same_day(day, first.day) and (day.month - first.month) % 2 == 0,
    ),
    "quarterly": (
        Cadence(months=3),
        lambda day, first: same_day(day, first.day) and (day.month - first.month) % 3 == 0,
    ),
    "yearly": (
        Cadence(months=12),
        lambda day, first: same_day(day, first.day) and day.month == first.month,
    ),
}


# Cadences.


@every_zone
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("at", [time(2, 10), time(2, 30), time(0, 5), time(23, 59)], ids=str)
@pytest.mark.parametrize(
    "first", [date(2023, 12, 31), date(2024, 2, 29), date(2023, 12, 15)], ids=str
)
def test_due_times_are_those_of_the_calendar(zone: str, rule: str, at: time, first: date) -> None:
    cadence, is_due = RULES[rule]
    expected = [
        shown(zone, datetime.combine(day, at))
        for day in days()
        if day > first and is_due(day, first)
    ]

    found, anchor = [shown(zone, datetime.combine(first, at))], None
    for _ in expected:
        anchor = anchored(cadence, found[-1], anchor or found[0], ZoneInfo(zone))
        found.append(advance(cadence, found[-1], anchor=anchor, zone=ZoneInfo(zone)))

    assert found[1:] == expected


@every_zone
@pytest.mark.parametrize("seconds", [30, 300, 3600, 7200])
def test_hours_and_less_are_real_time(zone: str, seconds: int) -> None:
    start = datetime(2026, 3, 8, 0, 0, 30, tzinfo=UTC)
    found = [start]
    for _ in range(5000):
        found.append(advance(Cadence(seconds=seconds), found[-1], zone=ZoneInfo(zone)))

    assert {after - before for before, after in pairwise(found)} == {timedelta(seconds=seconds)}


# Cron.

#: Expression -> which days and times it names.
FIXED: dict[str, tuple[Callable[[date], bool], list[time]]] = {
    "10 2 * * *": (lambda day: True, [time(2, 10)]),
    "30 2,3 * * *": (lambda day: True, [time(2, 30), time(3, 30)]),
    "0 0 * * *": (lambda day: True, [time(0)]),
    "5 1 * * 1-5": (lambda day: day.isoweekday() <= 5, [time(1, 5)]),
    "59 23 L * *": (is_last, [time(23, 59)]),
    "0 9 31 * *": (lambda day: day.day == 31, [time(9)]),
    "0 12 29 2 *": (lambda day: (day.month, day.day) == (2, 29), [time(12)]),
    "15 4 13 * 5": (lambda day: day.day == 13 or day.isoweekday() == 5, [time(4, 15)]),
    "@weekly": (lambda day: day.isoweekday() == 7, [time(0)]),
    "@monthly": (lambda day: day.day == 1, [time(0)]),
}


@every_zone
@pytest.mark.parametrize("expression", FIXED)
def test_cron_times_are_those_of_the_calendar(zone: str, expression: str) -> None:
    is_due, times = FIXED[expression]
    # Of a missing hour: right after it. Where two of its times were in it, once.
    expected = sorted(
        {reached(zone, datetime.combine(day, at)) for day in days() if is_due(day) for at in times}
    )

    found = [reached(zone, datetime.combine(FIRST, time())) - MINUTE]
    for _ in expected:
        found.append(advance_cron(expression, found[-1], ZoneInfo(zone)))

    assert found[1:] == expected


@every_zone
@pytest.mark.parametrize("expression", ["*/10 * * * *", "20 * * * *"])
def test_cron_of_every_hour_is_due_whenever_the_clock_shows_it(zone: str, expression: str) -> None:
    for change in _changes(zone):
        start = change - timedelta(hours=4)
        minutes = [start + n * MINUTE for n in range(1, 8 * 60)]
        wanted = {20} if expression.startswith("20") else set(range(0, 60, 10))
        expected = [moment for moment in minutes if clock(zone, moment).minute in wanted]

        found = [start]
        while found[-1] < expected[-1]:
            found.append(advance_cron(expression, found[-1], ZoneInfo(zone)))

        assert found[1:] == expected


def _changes(zone: str) -> Iterator[datetime]:
    """The hours in which the clocks were changed."""
    moment, end = datetime(2024, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
    while moment < end:
        after = moment + timedelta(hours=1)
        if clock(zone, after) - clock(zone, moment) != timedelta(hours=1):
            yield after
        moment = after


# By hand, from printed calendars and the laws about summer time.


@pytest.mark.parametrize(
    ("zone", "cadence", "start", "expected"),
    [
        (
            *("Europe/Berlin", Cadence(days=1), "2026-03-28 02:30"),
            ["2026-03-29T01:30", "2026-03-30T00:30", "2026-03-31T00:30"],
        ),
        (
            *("Europe/Berlin", Cadence(days=1), "2026-10-24 02:30"),
            ["2026-10-25T00:30", "2026-10-26T01:30"],
        ),
        (
            *("America/New_York", Cadence(days=7), "2026-03-01 09:00"),
            ["2026-03-08T13:00", "2026-03-15T13:00"],
        ),
        (
            *("America/New_York", Cadence(months=1), "2027-12-31 18:00"),
            ["2028-01-31T23:00", "2028-02-29T23:00", "2028-03-31T22:00", "2028-04-30T22:00"],
        ),
        (
            *("Australia/Lord_Howe", Cadence(days=1), "2026-04-04 01:45"),
            ["2026-04-04T14:45", "2026-04-05T15:15"],
        ),
        (
            *("Australia/Lord_Howe", Cadence(months=12), "2024-02-29 00:00"),
            ["2025-02-27T13:00", "2026-02-27T13:00", "2027-02-27T13:00", "2028-02-28T13:00"],
        ),
    ],
)
def test_due_times_of_known_days(
    zone: str, cadence: Cadence, start: str, expected: list[str]
) -> None:
    found = [datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)]
    for _ in expected:
        found.append(advance(cadence, found[-1], anchor=found[0], zone=ZoneInfo(zone)))

    assert [f"{moment:%Y-%m-%dT%H:%M}" for moment in found[1:]] == expected
