"""How the types of a schedule and the project's time zone translate to `recurrence`."""

from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone

from django_q.conf import Conf
from django_q.recurrence import Cadence

#: How far apart the due times of a type are; Minutes, Once and Cron are not here.
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


def cadence_of(schedule_type: str, minutes: int | None) -> Cadence | None:
    """Give the distance between due times; None for Once and Cron, which have none."""
    return (
        Cadence(seconds=60 * (minutes or 1))
        if schedule_type == "I"
        else _CADENCES.get(schedule_type)
    )


def schedule_zone() -> tzinfo | None:
    """Give the zone schedules are reckoned in; None in a project without time zones."""
    if not settings.USE_TZ:
        return None
    return ZoneInfo(Conf.TIME_ZONE) if Conf.TIME_ZONE else timezone.get_default_timezone()


def as_stored(moment: datetime | None) -> datetime | None:
    """Read a naive moment as Django would when it stores it: in the project's own time zone."""
    if moment is not None and settings.USE_TZ and timezone.is_naive(moment):
        return timezone.make_aware(moment, timezone.get_default_timezone())
    return moment
