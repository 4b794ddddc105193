"""The rows of tasks that are followed from when they are sent: made by who sends, before he does.

Producers, the scheduler, and with an outcome those of what follows it. All raise ResultsUnavailable
when the database is away.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import router, transaction
from django.utils import timezone

from django_q.conf import logger
from django_q.exceptions import ResultsUnavailable
from django_q.models import Task, Tracked
from django_q.order_options import time_left
from django_q.package import TaskPackage, function_path
from django_q.results.statements import storable
from django_q.results.trouble import is_refusal, told
from django_q.stored import seal_value

_CANNOT = "The tasks that wait cannot be written"


class Waiting(NamedTuple):
    """A task that is about to be sent, in plain values; the arguments are signed as in Task."""

    id: str
    name: str
    func: str
    group: str | None
    queue: str
    args: str | None
    kwargs: str | None
    enqueued: datetime
    #: None where it is not held back.
    run_at: datetime | None
    priority: int
    attempt: int
    task_backend: str | None


def mark(package: TaskPackage) -> None:
    """Say in a package, before it is sealed, that it has a row, if it is to have one."""
    if package.get("track"):
        package["tracked"] = True


def row_of(package: TaskPackage, queue: str) -> Waiting:
    """Make the row of a task that is about to be sent. Runs user code: pickles the arguments."""
    group, args = package.get("group"), _listed(package["args"])
    is_held = time_left(package, timezone.now()) > 0
    return Waiting(
        id=package["id"],
        name=str(package["name"]),
        func=str(package.get("shown_as") or function_path(package["func"])),
        group=None if group is None else str(group),
        queue=queue,
        args=seal_value(args),
        kwargs=seal_value(package["kwargs"]),
        enqueued=storable(package["started"]),
        run_at=package.get("run_at") if is_held else None,
        priority=int(package.get("priority") or 0),
        attempt=package.get("attempt", 1),
        task_backend=package.get("task_backend"),
    )


def _listed(args: Any) -> Any:
    """Give arguments as a result has them; those of a schedule may be a pickle, and stay closed."""
    return tuple(args) if isinstance(args, list) else args


def keep(rows: Sequence[Waiting]) -> None:
    """Make the rows of tasks that are about to be sent. Idempotent."""
    made = [
        Tracked(**row._asdict(), sender_run_at=row.run_at, state=_state_of(row)) for row in rows
    ]
    with told(_alias(), _CANNOT):
        Tracked.objects.using(_alias()).bulk_create(made, ignore_conflicts=True)


def _state_of(row: Waiting) -> Tracked.State:
    return Tracked.State.QUEUED if row.run_at is None else Tracked.State.SCHEDULED


def keep_for_others(values: Sequence[tuple[Any, ...]]) -> None:
    """Make the rows of tasks that no producer waits for, given as the values of `Waiting`.

    Not of what has ended: an outcome may be written, or a task be sent, once more after that. One
    that the database refuses is logged: its task is sent all the same. Idempotent.
    """
    rows = [Waiting(*row) for row in values]
    with told(_alias(), _CANNOT):
        ended = Task.objects.using(router.db_for_write(Task)).filter(pk__in=[r.id for r in rows])
        over = set(ended.values_list("pk", flat=True))
    _keep_or_log([row for row in rows if row.id not in over])


def _keep_or_log(rows: Sequence[Waiting]) -> None:
    """Make rows together, or else each alone, so that one which is refused holds up no other."""
    try:
        with transaction.atomic(using=_alias()):
            keep(rows)
    except Exception as error:
        unwrapped = error.__cause__ if isinstance(error, ResultsUnavailable) else error
        if unwrapped is None or not is_refusal(unwrapped):
            raise
        if len(rows) == 1:
            text = "The task %s [%s] is not followed while it waits: %s"
            logger.error(text, rows[0].name, rows[0].id, error)
            return
        for row in rows:
            _keep_or_log([row])


def _alias() -> str:
    return router.db_for_write(Tracked)
