"""Packages that cannot be opened: kept once each, never run. Written by the clerk."""

from typing import NamedTuple

from django.db import DatabaseError, InterfaceError, router

from django_q.exceptions import ResultsUnavailable
from django_q.models import Rejected


class Rejection(NamedTuple):
    """A package that was refused, and why."""

    queue: str
    payload: str
    reason: str
    receipt: str | None


def keep(rejection: Rejection) -> None:
    """Keep a refused package; the same one a second time changes nothing.

    Raises ResultsUnavailable, with nothing kept, when the database is away.
    """
    # NUL cannot be stored in a text column everywhere; what is kept is for people to look at.
    payload = rejection.payload.replace("\0", "\\0")
    digest = Rejected.digest_of(rejection.queue, rejection.payload)
    values = {"queue": rejection.queue, "payload": payload, "reason": rejection.reason}
    try:
        rows = Rejected.objects.using(router.db_for_write(Rejected))
        rows.get_or_create(digest=digest, defaults=values)
    except (DatabaseError, InterfaceError) as error:
        raise ResultsUnavailable(f"A rejected package cannot be kept: {error}") from error
