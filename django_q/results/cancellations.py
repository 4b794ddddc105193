"""The wishes that tasks be cancelled: `django_q.models.Cancellation`.

Written by whoever asks; watched by each housekeeper and read by clerks while there are any;
deleted in the transaction of the outcome. All raise ResultsUnavailable when the database is away.
"""

import types
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connections, router
from django.utils import timezone

from django_q.models import Cancellation, Delayed
from django_q.models.tracked import kept_until
from django_q.results.looks import Look, Together
from django_q.results.statements import put
from django_q.results.trouble import told

_CANNOT = "Cancellations cannot be written"
_CANNOT_READ = "Cancellations cannot be read"
#: What the result of a cancelled task begins with.
TEXT = "The task was cancelled"
#: Time for which a wish outlives the moment before which its task cannot start.
_KEPT = timedelta(days=14)


def ask(
    task_ids: Sequence[str],
    *,
    kill: bool = False,
    run_at: Mapping[str, datetime | None] = types.MappingProxyType({}),
) -> None:
    """Ask for the end of tasks, wherever they are; `run_at`: when those that wait may start.

    What is kept in `Delayed` is due now, so that a worker comes to hear of it. Idempotent; `kill`
    is not taken back.
    """
    now = timezone.now()
    wishes = [
        Cancellation(
            task=task_id,
            kill=kill,
            asked=now,
            until=max(kept_until(), (run_at.get(task_id) or now) + _KEPT),
        )
        for task_id in sorted(task_ids)
    ]
    changed = ["asked", "until", *(["kill"] if kill else [])]
    with told(_alias(), _CANNOT):
        put(_alias(), wishes, changed)
        delayed = Delayed.objects.using(router.db_for_write(Delayed))
        delayed.filter(task__in=list(task_ids), due__gt=now).update(due=now)


class Newest:
    """What changes when a wish comes, for who looks again and again. Used by one thread."""

    def __init__(self, together: Together | None = None) -> None:
        self._number = Look(Cancellation, "COUNT(*)", together=together)
        self._last = Look(Cancellation, "asked", "ORDER BY {asked} DESC", together=together)

    def look(self) -> tuple[int, datetime | None]:
        """Give their number, and when the last was uttered."""
        with told(self._number.alias, _CANNOT_READ):
            return self._number.value(), self._last.value()


def wishes() -> dict[str, bool]:
    """Give all of them: task id -> whether its worker may be killed at once.

    By a statement of our own: a worker that has no other use for that part of Django would have
    some megabytes more for itself.
    """
    alias = _alias()
    with told(alias, _CANNOT_READ):
        connection = connections[alias]
        quote = connection.ops.quote_name
        columns = {f.name: quote(f.column) for f in Cancellation._meta.concrete_fields if f.column}
        table = quote(Cancellation._meta.db_table)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {columns['task']}, {columns['kill']} FROM {table}")  # noqa: S608
            return {str(task): bool(kill) for task, kill in cursor.fetchall()}


def uncancel(values: Sequence[tuple[Any, ...]]) -> None:
    """Delete the wishes for tasks that are over, given as 1-tuples of their ids. Idempotent."""
    with told(_alias(), _CANNOT):
        ids = [task_id for (task_id,) in values]
        Cancellation.objects.using(_alias()).filter(pk__in=ids).delete()


def drop_old() -> None:
    """Delete wishes that nothing is to be expected of any more."""
    with told(_alias(), _CANNOT):
        Cancellation.objects.using(_alias()).filter(until__lt=timezone.now()).delete()


def _alias() -> str:
    return router.db_for_write(Cancellation)
