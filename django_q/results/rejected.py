"""Packages that cannot be opened: kept once each, never run. Written by the clerk."""

from typing import NamedTuple

from django.db import router

from django_q.models import Rejected
from django_q.results.trouble import told
from django_q.signing import as_text


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
    payload = as_text(rejection.payload)
    digest = Rejected.digest_of(rejection.queue, payload)
    values = {
        "queue": _storable(rejection.queue),
        "payload": _storable(payload),
        "reason": _storable(rejection.reason),
    }
    alias = router.db_for_write(Rejected)
    with told(alias, "A rejected package cannot be kept"):
        Rejected.objects.using(alias).get_or_create(digest=digest, defaults=values)


def _storable(text: str) -> str:
    """Show what no text column takes, NUL and lone surrogates, by its escape.

    The text of an exception from a foreign pickle may hold anything; what is kept is for people.
    """
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
