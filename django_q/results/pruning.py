"""Keeps the number of recorded successes within `save_limit`: `prune`, called by the housekeeper.

What is kept is never loaded: a cut-off is looked up behind the newest rows, and what is older
goes in batches of ids.
"""

import time
from collections.abc import Iterator
from typing import Any

from django.db import Error, connections, router
from django.db.models import Count, QuerySet

from django_q.exceptions import ResultsUnavailable
from django_q.models import Success

#: Rows in one DELETE: some milliseconds of work, so that no clerk waits long for its turn.
BATCH = 500


def prune(
    limit: int, per: str | None = None, batch: int = BATCH, *, duration: float | None = None
) -> int:
    """Delete the oldest successes beyond `limit`, in all or for each value of `per`; how many.

    `limit` is `save_limit`: with 0 all are kept, with -1 there are none, so nothing is done. `per`
    is `save_limit_per`: "group", "name" or "func"; tasks without group are a group of their own.
    Stops after about `duration` seconds, and goes on at the next call. Receivers of `post_delete`
    run, as for any deletion. Raises ResultsUnavailable.
    """
    if limit <= 0:
        return 0
    end = float("inf") if duration is None else time.monotonic() + duration
    alias = router.db_for_write(Success)
    deleted = 0
    try:
        for successes in _shares(Success.objects.using(alias).order_by(), limit, per):
            deleted += _prune_share(successes, limit, batch, end)
            if time.monotonic() > end:
                break
    except Error as error:
        vendor = connections[alias].vendor
        if not connections[alias].in_atomic_block:
            connections[alias].close()
        raise ResultsUnavailable(
            f"Old results cannot be deleted from the database {alias!r} ({vendor}): "
            f"{type(error).__name__}: {error}"
        ) from error
    return deleted


def _shares(successes: QuerySet[Any], limit: int, per: str | None) -> Iterator[QuerySet[Any]]:
    """Give the sets of rows of which each may have `limit`, if they may have more."""
    if per is None:
        yield successes
        return
    counts = successes.values_list(per).annotate(rows=Count("pk")).filter(rows__gt=limit)
    for value, _rows in list(counts):
        yield successes.filter(**{per: value})


def _prune_share(successes: QuerySet[Any], limit: int, batch: int, end: float) -> int:
    newest_first = successes.order_by("-stopped", "-pk").values_list("stopped", "pk")
    cut = newest_first[limit : limit + 1].first()
    if cut is None:
        return 0
    stopped, pk = cut
    # `stopped` stands alone in its condition, so that an index can serve it.
    beyond = successes.filter(stopped__lte=stopped).exclude(stopped=stopped, pk__gt=pk)
    oldest = beyond.order_by("stopped", "pk").values_list("pk", flat=True)
    deleted = 0
    while ids := list(oldest[:batch]):
        deleted += successes.filter(pk__in=ids).delete()[0]
        if len(ids) < batch or time.monotonic() > end:
            break
    return deleted
