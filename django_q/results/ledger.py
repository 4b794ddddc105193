"""The ledger: what went wrong with a package before. Rows are written only when something did.

Read by a worker's main thread from a package's second delivery on; written by the housekeeper.
All raise ResultsUnavailable when the database is away.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from django.db import router
from django.utils import timezone

from django_q.models import Ledger
from django_q.results.trouble import told

#: A row that nothing came back for is of no use after the longest retention of any broker here.
_KEPT = timedelta(days=14)


class History(NamedTuple):
    """What the ledger knows of a package."""

    deaths: int = 0
    #: When set, the package is not run but fails with this text.
    verdict: str | None = None
    #: The last thing that went wrong.
    reason: str = ""
    #: It went wrong while the package was being opened.
    in_opening: bool = False

    @property
    def is_cancelled(self) -> bool:
        """The verdict is what somebody asked for."""
        return self.reason == _CANCELLED


#: That of a package which was never delivered before.
NO_HISTORY = History()


#: Begins the reason of a death that happened before the package was open.
_OPENING = "while it was being opened: "
#: The reason of a verdict that somebody asked for.
_CANCELLED = "cancelled"
_CANNOT_WRITE = "The ledger cannot be written"


def history(key: str) -> History:
    """Look a package up; an empty History when nothing went wrong."""
    with told(_alias(), "The ledger cannot be read"):
        row = Ledger.objects.using(_alias()).filter(key=key).first()
    if row is None:
        return History()
    in_opening = row.reason.startswith(_OPENING)
    return History(row.deaths, row.verdict, row.reason.removeprefix(_OPENING), in_opening)


def charge_death(key: str, reason: str, *, in_opening: bool = False) -> int:
    """Count a death against a package; gives how many it has caused by now."""
    with told(_alias(), _CANNOT_WRITE):
        row, _ = Ledger.objects.using(_alias()).get_or_create(key=key)
        row.deaths += 1
        row.reason = f"{_OPENING if in_opening else ''}{reason}"
        row.save(using=_alias())
    return int(row.deaths)


def condemn(key: str, verdict: str, *, is_cancelled: bool = False) -> None:
    """Say that a package is not to be run again, and what its failed row will say."""
    values = {"verdict": verdict} | ({"reason": _CANCELLED} if is_cancelled else {})
    with told(_alias(), _CANNOT_WRITE):
        Ledger.objects.using(_alias()).update_or_create(key=key, defaults=values)


def forget(keys: Sequence[str]) -> None:
    """Drop the rows of packages that are done."""
    with told(_alias(), _CANNOT_WRITE):
        Ledger.objects.using(_alias()).filter(key__in=keys).delete()


def drop_old_rows() -> int:
    """Drop rows whose package never came back."""
    old = Ledger.objects.using(_alias()).filter(updated__lt=timezone.now() - _KEPT)
    with told(_alias(), _CANNOT_WRITE):
        return int(old.delete()[0])


def lapses(deliveries: int, known: History) -> int:
    """Tell how often a lease of a package was lost with nobody seeing why."""
    return max(0, deliveries - 1 - known.deaths)


def _alias() -> str:
    return router.db_for_write(Ledger)
