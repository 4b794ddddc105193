"""When a schedule is due next: pure functions of moments, called by `Schedule`.

Moments are aware and come back in UTC, or naive (a project without time zones) and come back so.
Days and months are counted on the clock and calendar of `zone`, from an *anchor*: the due time that
somebody chose. So neither a short month nor a missing hour shifts all that follows.
"""

import calendar
import importlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, NamedTuple

from cronsim import CronSim, CronSimError

#: Short names of cron expressions, as in crontab(5) of Vixie cron.
CRON_NAMES = {
    **dict.fromkeys(("@yearly", "@annually"), "0 0 1 1 *"),
    **dict.fromkeys(("@daily", "@midnight"), "0 0 * * *"),
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@hourly": "0 * * * *",
}

#: Missed due times that are made up for at most: a week of a schedule for every minute.
MOST_MISSED = 10_000


class Cadence(NamedTuple):
    """The distance between two due times, in one of three measures; the other two are 0.

    Seconds are real time. Days and months keep day and time, as far as the calendar has them.
    """

    seconds: int = 0
    days: int = 0
    months: int = 0


def advance(
    cadence: Cadence,
    previous: datetime,
    *,
    anchor: datetime | None = None,
    after: datetime | None = None,
    zone: tzinfo | None = None,
) -> datetime:
    """Give the first due time later than `previous`, and than `after`, however far that lies.

    `zone` is needed for aware moments.
    """
    previous = previous.astimezone(UTC) if previous.tzinfo else previous
    latest = max(previous, after) if after else previous
    if cadence.seconds:
        step = timedelta(seconds=cadence.seconds)
        return previous + ((latest - previous) // step + 1) * step
    start = anchored(cadence, previous, anchor, zone)
    return _due(cadence, start, _index(cadence, start, latest, zone) + 1, zone)


def shorten(
    cadence: Cadence,
    due: datetime,
    now: datetime,
    anchor: datetime | None = None,
    zone: tzinfo | None = None,
) -> datetime:
    """Give `due`, or the later due time from which on only `MOST_MISSED` lie until `now`."""
    due = due.astimezone(UTC) if due.tzinfo else due
    if cadence.seconds:
        step = timedelta(seconds=cadence.seconds)
        return due + max(0, (now - due) // step + 1 - MOST_MISSED) * step
    start = anchored(cadence, due, anchor, zone)
    first, last = _index(cadence, start, due, zone), _index(cadence, start, now, zone)
    if last - first < MOST_MISSED:
        return due
    return _due(cadence, start, last + 1 - MOST_MISSED, zone)


def anchored(
    cadence: Cadence, moment: datetime, anchor: datetime | None, zone: tzinfo | None = None
) -> datetime:
    """Give the anchor `moment` counts from: `anchor` if that leads to it, else `moment` itself."""
    if anchor is None or cadence.seconds or (anchor.tzinfo is None) != (moment.tzinfo is None):
        return moment
    index = _index(cadence, anchor, moment, zone)
    return anchor if _due(cadence, anchor, index, zone) == moment else moment


def advance_cron(expression: str, after: datetime, zone: tzinfo | None = None) -> datetime:
    """Give the first moment later than `after` that the cron expression matches in `zone`.

    Five fields, or six with the seconds last (as croniter has them), or a name like `@daily`.
    Raises ValueError for an expression that is wrong or never matches.
    """
    start = after.astimezone(zone) if after.tzinfo else after
    for found in _cron_moments(expression, start):
        # In UTC: moments of one zone are compared by the clock, which shows one hour twice.
        moment = found.astimezone(UTC) if found.tzinfo else found
        if moment > after:
            return moment
    raise ValueError(f"The cron expression {expression!r} never matches.")


def explain_cron(expression: str) -> str:
    """Tell in English words when a cron expression is due; nothing for one of croniter's own."""
    try:
        return CronSim(_in_order(expression), datetime(2000, 1, 1)).explain()
    except (CronSimError, AssertionError, TypeError, ValueError):
        return ""


def has_cron_seconds(expression: str) -> bool:
    """Tell whether a cron expression names seconds, and so may be due more than once a minute."""
    return len(expression.split()) > 5


def _in_order(expression: str) -> str:
    """Give the expression as cronsim reads it: no name, and the seconds first."""
    fields = CRON_NAMES.get(expression.strip().lower(), expression).split()
    return " ".join([*fields[5:], *fields[:5]])


def _cron_moments(expression: str, start: datetime) -> Iterator[datetime]:
    try:
        return CronSim(_in_order(expression), start)
    # The other two: cronsim lets them out for a step behind "5L" or "5#2".
    except (CronSimError, AssertionError, TypeError) as error:
        try:
            # Half a megabyte for every process of a site, of which hardly one needs it.
            croniter = importlib.import_module("croniter").croniter
        except ImportError:
            raise ValueError(f"The cron expression {expression!r} is wrong. {error}") from error
        return _croniter_moments(croniter, expression, start)


def _croniter_moments(croniter: Any, expression: str, start: datetime) -> Iterator[datetime]:
    try:
        yield from croniter(expression, start, ret_type=datetime).all_next()
    except ValueError as error:
        raise ValueError(f"The cron expression {expression!r} is wrong. {error}") from error


def _index(cadence: Cadence, anchor: datetime, moment: datetime, zone: tzinfo | None) -> int:
    """Count the steps from the anchor to the last due time that is not later than `moment`."""
    first, last = _wall(anchor, zone), _wall(moment, zone)
    if cadence.days:
        index = (last.date() - first.date()).days // cadence.days
    else:
        index = ((last.year - first.year) * 12 + last.month - first.month) // cadence.months
    # The estimate is by the date; the time of day and short months may take it one off.
    while _due(cadence, anchor, index, zone) > moment:
        index -= 1
    while _due(cadence, anchor, index + 1, zone) <= moment:
        index += 1
    return index


def _due(cadence: Cadence, anchor: datetime, index: int, zone: tzinfo | None) -> datetime:
    if index == 0:
        return anchor
    wall = _add_months(_wall(anchor, zone), index * cadence.months)
    wall += timedelta(days=index * cadence.days)
    # fold is 0: of an hour that comes twice the first is meant; a time in a missing hour is read
    # with the offset before it, which puts it as much later as the clocks jumped.
    return wall.replace(tzinfo=zone).astimezone(UTC) if anchor.tzinfo else wall


def _wall(moment: datetime, zone: tzinfo | None) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None, fold=0) if moment.tzinfo else moment


def _add_months(wall: datetime, months: int) -> datetime:
    year, month = divmod(wall.year * 12 + wall.month - 1 + months, 12)
    day = min(wall.day, calendar.monthrange(year, month + 1)[1])
    return wall.replace(year=year, month=month + 1, day=day)
