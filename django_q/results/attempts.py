"""The history of a task that is run more than once: its failed attempts, and how a run ended.

Written in the transaction of the outcome; read by workers when a package comes again, and by
everybody. All raise ResultsUnavailable when the database is away.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import router
from django.db.models import (
    BooleanField,
    CharField,
    DateTimeField,
    Exists,
    OuterRef,
    TextField,
    Value,
)
from django.db.models.functions import Cast
from django.utils import timezone

from django_q.conf import logger
from django_q.models import Attempt, Task
from django_q.options import FOLLOWED
from django_q.package import FailureCause, Outcome, function_path
from django_q.results.base import worker_name
from django_q.results.looks import has_row
from django_q.results.trouble import told
from django_q.retries import error_of
from django_q.stored import open_value

#: A history is of no use after the longest retention of any broker here.
_KEPT = timedelta(days=14)
#: Time after which a next run that was due, and left no result, is not waited for.
_OVERDUE = timedelta(days=1)
#: Rows in one DELETE, and how many such batches at a time: the next hour has the rest.
_BATCH, _BATCHES = 500, 20
#: Characters of a traceback that are kept: frames of the deepest recursion are cut by Python.
_LONGEST_TEXT = 65_536


class Ending(NamedTuple):
    """How a run ended that is in the books."""

    success: bool
    #: When the next run is due; None where it was the last one.
    again_at: datetime | None = None
    #: Of a failure that was the last run: see `FailureCause`.
    cause: str | None = None
    #: How long it ran.
    took: timedelta = timedelta()


def attempt_values(outcome: Outcome) -> tuple[Any, ...]:
    """Give a failed run that is followed by another, as plain values. Runs user code (texts)."""
    package = outcome.package
    again_at = outcome.stopped + timedelta(seconds=outcome.again_in or 0.0)
    return (
        package["id"],
        int(package.get("attempt", 1)),
        outcome.started,
        outcome.stopped,
        worker_name(),
        _storable(function_path(type(error_of(outcome))), 256),
        _storable(str(outcome.result), _LONGEST_TEXT),
        again_at,
    )


def write(rows: Sequence[tuple[Any, ...]]) -> None:
    """Write failed attempts inside the caller's transaction; one that is there stays as it is."""
    columns = ("task", "number", "started", "stopped", "worker", "error", "traceback", "again_at")
    attempts = [Attempt(**dict(zip(columns, row, strict=True))) for row in rows]
    Attempt.objects.using(_alias()).bulk_create(attempts, ignore_conflicts=True)


def ending(alias: str, task_id: str, number: int) -> Ending | None:
    """Tell how this run of a task, or a later one, ended; None when it is to be run.

    A failed first run does not count where it was not followed by another: it may be one that
    comes back as in Django Q. Errors come out as they are.
    """
    # Mostly there is nothing, and Django's compiler would take ten times as long to say so.
    if not has_row(alias, (Task, {"id": task_id}), (Attempt, {"task": task_id, "number": number})):
        return None
    tasks = Task.objects.using(alias).filter(pk=task_id).order_by()
    nothing = Value(None, DateTimeField())
    runs = tasks.annotate(again_at=nothing).values_list(
        "success", "again_at", "cause", "attempt_count", "started", "stopped"
    )
    failed = Attempt.objects.using(alias).filter(task=task_id, number=number).order_by()
    attempts = failed.annotate(
        success=Value(False, BooleanField()), cause=Value(None, CharField())
    ).values_list("success", "again_at", "cause", "number", "started", "stopped")
    found = list(runs.union(attempts, all=True).order_by())
    # A success first, then what was retried.
    found.sort(key=lambda run: (run[0], run[1] is not None), reverse=True)
    for success, again_at, cause, count, started, stopped in found:
        if success or again_at is not None or (count >= number > 1):
            return Ending(bool(success), again_at, cause, stopped - started)
    return None


def last_outcome(found: Outcome) -> Outcome:
    """Give the outcome of a task whose last run is in the books. Runs user code (unpickling).

    `found` has the package and what `ending` told. A result that cannot be opened is logged, and
    nothing follows then.
    """
    package: Any = found.package
    with told(_alias(), "The result of a task cannot be read"):
        rows = Task.objects.using(_alias()).filter(pk=package["id"]).order_by()
        # As text: opened outside of `told`, which is about the database.
        raw = rows.annotate(raw=Cast("result", TextField()))
        row = raw.values_list("success", "raw", "cause").first()
    try:
        if row is None:
            raise LookupError("its row is gone")
        success, text, cause = row
        return found._replace(
            success=success, result=open_value(text), cause=FailureCause(cause) if cause else None
        )
    except BaseException:  # code of the result
        text = "The result of %s [%s] cannot be opened, so what follows it is not sent again"
        logger.exception(text, package["name"], package["id"])
        bare: Any = {key: value for key, value in package.items() if key not in FOLLOWED}
        return found._replace(package=bare)


def of_task(task_id: str) -> list[Attempt]:
    """Give the failed attempts of a task, the first one first."""
    return list(Attempt.objects.filter(task=task_id).order_by("number"))


def drop_old() -> int:
    """Delete, in batches, what is too old or whose task has no row any more."""
    now = timezone.now()
    rows = Attempt.objects.using(_alias()).order_by("stopped")
    kept = Exists(Task.objects.filter(pk=OuterRef("task")))
    alone = rows.filter(stopped__lt=now - _OVERDUE, again_at__lt=now - _OVERDUE).exclude(kept)
    old = rows.filter(stopped__lt=now - _KEPT, again_at__lt=now - _KEPT)
    deleted = 0
    with told(_alias(), "Old attempts cannot be deleted"):
        for query in (old, alone):
            for _ in range(_BATCHES):
                ids = list(query.values_list("pk", flat=True)[:_BATCH])
                deleted += rows.filter(pk__in=ids).delete()[0]
                if len(ids) < _BATCH:
                    break
    return deleted


def _storable(text: str, longest: int) -> str:
    """Leave of a text what every database takes: its end, where the error stands."""
    bare = text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
    return bare[-longest:]


def _alias() -> str:
    return router.db_for_write(Attempt)
