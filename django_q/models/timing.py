"""When a schedule is due: its types and the project's time zone, on top of `recurrence`."""

from datetime import datetime, timedelta, tzinfo
from typing import Any

from django.conf import settings
from django.utils import timezone

from django_q.conf import Conf
from django_q.recurrence import (
    MOST_MISSED,
    Cadence,
    advance,
    advance_cron,
    anchored,
    has_cron_seconds,
    shorten,
)
from django_q.settings import zone_named

#: How far apart the due times of a type are; Seconds, Minutes, Once and Cron are not here.
_CADENCES = {
    "H": Cadence(seconds=3600),
    "D": Cadence(days=1),
    "W": Cadence(days=7),
    "BW": Cadence(days=14),
    "M": Cadence(months=1),
    "BM": Cadence(months=2),
    "Q": Cadence(months=3),
    "Y": Cadence(months=12),
}


def cadence_of(
    schedule_type: str, minutes: int | None, seconds: int | None = None
) -> Cadence | None:
    """Give the distance between due times; None for Once and Cron, which have none.

    None also for Seconds that does not say how many.
    """
    if schedule_type == "I":
        return Cadence(seconds=60 * (minutes or 1))
    if schedule_type == "S":
        return Cadence(seconds=seconds) if seconds else None
    return _CADENCES.get(schedule_type)


def schedule_zone() -> tzinfo | None:
    """Give the zone schedules are reckoned in; None in a project without time zones.

    Raises ConfigurationError for one that is not known.
    """
    if not settings.USE_TZ:
        return None
    return zone_named(Conf.TIME_ZONE) if Conf.TIME_ZONE else timezone.get_default_timezone()


def as_stored(moment: datetime | None) -> datetime | None:
    """Read a moment as the database gives it back: one without a zone is in the project's own."""
    if moment is None or timezone.is_aware(moment) == settings.USE_TZ:
        return moment
    turn = timezone.make_aware if settings.USE_TZ else timezone.make_naive
    return turn(moment, timezone.get_default_timezone())


class Timed:
    """The part of `Schedule` that knows its due times. Nothing here is saved."""

    ONCE = "O"
    SECONDS = "S"
    MINUTES = "I"
    HOURLY = "H"
    DAILY = "D"
    WEEKLY = "W"
    BIWEEKLY = "BW"
    MONTHLY = "M"
    BIMONTHLY = "BM"
    QUARTERLY = "Q"
    YEARLY = "Y"
    CRON = "C"

    # The columns of `Schedule`.
    schedule_type: Any
    minutes: Any
    seconds: Any
    cron: Any
    repeats: Any
    next_run: Any
    catch_up: Any
    anchor: Any

    def calculate_next_run(
        self, next_run: datetime | None = None, *, after: datetime | None = None
    ) -> datetime:
        """Give the due time after `next_run` (default: this schedule's own), and after `after`.

        A cron expression is due at its first match from now on. Raises ValueError for one that is
        wrong, and for the type Once, which does not repeat.
        """
        zone = schedule_zone()
        if self.schedule_type == self.CRON:
            moments = (timezone.now(), as_stored(next_run), after)
            return advance_cron(self.cron or "", max(filter(None, moments)), zone)
        cadence = self._cadence()
        previous = as_stored(next_run or self.next_run) or timezone.now()
        if self.anchor is None and next_run in (None, self.next_run):
            self.anchor = self._anchor_of(previous)  # as in move_on
        return advance(cadence, previous, anchor=self.anchor, after=after, zone=zone)

    def move_on(self, now: datetime) -> bool:
        """Step on after a run, in memory; False when nothing is left and the row has to go."""
        if self.schedule_type == self.ONCE:
            is_kept = bool(self.repeats >= 0)
            self.repeats = min(self.repeats, 0)
            return is_kept
        due = as_stored(self.next_run) or now
        # A row of an old producer has none: the first step must not lose the day it started from.
        self.anchor = self.anchor or self._anchor_of(due)
        self.next_run = self._following(due, now)
        self.anchor = self._anchor_of(self.next_run)
        self.repeats -= self.repeats > 0
        return True

    def upcoming(self, count: int = 5) -> list[datetime]:
        """Give the next due times, at most `count`. Raises ValueError as `calculate_next_run`."""
        now, due = timezone.now(), as_stored(self.next_run)
        left = count if self.repeats < 0 else min(count, self.repeats)
        left = min(left, 1) if self.schedule_type == self.ONCE else left
        moments: list[datetime] = []
        while due is not None and len(moments) < left:
            moments.append(due)
            due = self._following(due, now) if len(moments) < left else None
        return moments

    @property
    def catches_up(self) -> bool:
        """Whether it makes up for missed runs. A cron expression does so only if it says so."""
        if self.catch_up is None:
            return self.schedule_type != self.CRON and bool(Conf.CATCH_UP)
        return bool(self.catch_up)

    def _following(self, due: datetime, now: datetime) -> datetime:
        """Give the due time after `due`; what was missed until now counts only if it catches up."""
        zone = schedule_zone()
        if self.schedule_type == self.CRON:
            pace = timedelta(seconds=1 if has_cron_seconds(self.cron or "") else 60)
            oldest = now - MOST_MISSED * pace if self.catches_up else now
            return advance_cron(self.cron or "", max(due, oldest), zone)
        cadence, anchor = self._cadence(), self.anchor or due
        if not self.catches_up:
            return advance(cadence, due, anchor=anchor, after=now, zone=zone)
        found = advance(cadence, due, anchor=anchor, zone=zone)
        return shorten(cadence, found, now, anchor, zone)

    def _cadence(self) -> Cadence:
        cadence = cadence_of(self.schedule_type, self.minutes, self.seconds)
        if cadence is None and self.schedule_type == self.SECONDS:
            raise ValueError("The schedule type Seconds needs a number of seconds.")
        if cadence is None:
            raise ValueError(f"The schedule type {self.schedule_type!r} does not repeat.")
        return cadence

    def _anchor_of(self, moment: datetime | None) -> datetime | None:
        cadence = cadence_of(self.schedule_type, self.minutes, self.seconds)
        if moment is None or cadence is None or cadence.seconds:
            return None
        return anchored(cadence, moment, self.anchor, schedule_zone())
