"""When the next task with a rate limit may start: one number for each key.

The generic cell rate algorithm without a burst (ITU-T I.371, its "theoretical arrival time"): a
start is reserved by moving the number on by one interval. No clock but those of the workers.
All raise ResultsUnavailable when the database is away.
"""

import time
from datetime import timedelta

from django.db import router
from django.utils import timezone

from django_q.exceptions import ResultsUnavailable
from django_q.models import Pace
from django_q.results.trouble import told

_CANNOT = "The pace of rate-limited tasks cannot be written"
#: Tries to move the number on before somebody else does; each that fails, another one succeeded.
_TRIES = 100


def reserve(key: str, interval: float) -> float:
    """Reserve the next start of a key, now or later; seconds since 1970.

    Between any two starts reserved for one key are at least `interval` seconds.
    """
    rows = Pace.objects.using(_alias()).filter(key=key)
    with told(_alias(), _CANNOT):
        for _ in range(_TRIES):
            row, now = rows.first(), time.time()
            if row is None:
                Pace.objects.using(_alias()).bulk_create(
                    [Pace(key=key, next=0.0)], ignore_conflicts=True
                )
                continue
            start = max(now, row.next)
            if rows.filter(next=row.next).update(next=start + interval):
                return start
    raise ResultsUnavailable(f"{_CANNOT}: too many want the key {key!r} at once.")


def drop_old() -> int:
    """Delete the numbers that lie in the past for an hour: they say nothing any more."""
    with told(_alias(), _CANNOT):
        old = (timezone.now() - timedelta(hours=1)).timestamp()
        return int(Pace.objects.using(_alias()).filter(next__lte=old).delete()[0])


def _alias() -> str:
    return router.db_for_write(Pace)
