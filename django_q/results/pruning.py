"""Deletes old results, called by the housekeeper: `prune` by number, `prune_by_age` by age.

What is kept is never loaded: the ids of what has to go are found by an index, or with
`save_limit_per` by one pass over two columns, and deleted in batches.
"""

import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from django.db import router
from django.db.models import F, QuerySet, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from django_q.models import Failure, Success
from django_q.results.trouble import told

#: Rows in one DELETE: some milliseconds of work, so that no clerk waits long for its turn.
BATCH = 500
#: Batches found in one pass over all rows, which takes seconds where there are a million.
_AT_ONCE = 20


def prune(
    limit: int, per: str | None = None, batch: int = BATCH, *, duration: float | None = None
) -> int:
    """Delete the oldest successes beyond `limit`, in all or for each value of `per`; how many.

    `limit` is `save_limit`: with 0 all are kept, with -1 there are none, so nothing is done. `per`
    is `save_limit_per`: "group", "name" or "func"; tasks without group are a group of their own.
    Without `per`, what stopped in the same microsecond as the oldest row kept is kept too.
    Stops after about `duration` seconds, and goes on at the next call. Receivers of `post_delete`
    run, as for any deletion. Raises ResultsUnavailable.
    """
    if limit <= 0:
        return 0
    successes = _rows(Success)
    found = (
        _oldest(successes, limit, batch) if per is None else _beyond(successes, limit, batch, per)
    )
    return _delete(successes, found, _end(duration))


def prune_by_age(
    successes: float | None,
    failures: float | None,
    batch: int = BATCH,
    *,
    duration: float | None = None,
) -> int:
    """Delete successes and failures that stopped longer ago than so many seconds; how many.

    They are `keep_successes` and `keep_failures`; None keeps all. Otherwise as `prune`.
    """
    end, deleted = _end(duration), 0
    for model, age in ((Success, successes), (Failure, failures)):
        if age is not None:
            rows = _rows(model)
            old = rows.filter(stopped__lt=timezone.now() - timedelta(seconds=age))
            ids = old.order_by("stopped").values_list("pk", flat=True)
            deleted += _delete(rows, _batches(ids, batch, batch), end)
    return deleted


def _rows(model: Any) -> QuerySet[Any]:
    rows: QuerySet[Any] = model.objects.using(router.db_for_write(model)).order_by()
    return rows


def _end(duration: float | None) -> float:
    return float("inf") if duration is None else time.monotonic() + duration


def _delete(rows: QuerySet[Any], found: Iterable[list[str]], end: float) -> int:
    """Delete batches of ids until it is time to stop, but at least one."""
    deleted = 0
    with told(rows.db, "Old results cannot be deleted"):
        for ids in found:
            deleted += rows.filter(pk__in=ids).delete()[1].get(rows.model._meta.label, 0)
            if time.monotonic() > end:
                break
    return deleted


def _oldest(successes: QuerySet[Any], limit: int, batch: int) -> Iterator[list[str]]:
    """Give the ids of what is older than the newest `limit` rows, oldest first."""
    # Only `stopped` is asked for, so that the index (success, stopped) answers without the rows.
    newest_first = successes.order_by("-stopped").values_list("stopped", flat=True)
    for oldest_kept in newest_first[limit - 1 : limit]:
        older = successes.filter(stopped__lt=oldest_kept).order_by("stopped")
        yield from _batches(older.values_list("pk", flat=True), batch, batch)


def _beyond(successes: QuerySet[Any], limit: int, batch: int, per: str) -> Iterator[list[str]]:
    """Give the ids of what comes after the newest `limit` rows of each value of `per`."""
    place = Window(RowNumber(), partition_by=F(per), order_by=F("stopped").desc())
    beyond = successes.annotate(place=place).filter(place__gt=limit)
    yield from _batches(beyond.values_list("pk", flat=True), batch, batch * _AT_ONCE)


def _batches(ids: QuerySet[Any, str], batch: int, at_once: int) -> Iterator[list[str]]:
    """Give ids in batches, `at_once` in a query; asks again when all of these were deleted."""
    while found := list(ids[:at_once]):
        for start in range(0, len(found), batch):
            yield found[start : start + batch]
        if len(found) < at_once:
            return
