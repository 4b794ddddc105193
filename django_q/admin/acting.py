"""What the actions of the admin do with many rows: send them once more, or cancel them.

In batches: each is sent in few calls to the broker, and its rows leave in the same transaction.
Rows are locked before they are sent, so that two people who press one button send them once.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.db import router, transaction
from django.db.models import F, QuerySet

from django_q import signals
from django_q.admin.filters import COUNTED_ROWS
from django_q.brokers import shared_broker
from django_q.cancelling import cancel_all
from django_q.conf import Conf
from django_q.enqueue import run_in_place, send
from django_q.exceptions import BrokerError, DjangoQError, ResultsUnavailable, UnreadableValue
from django_q.executor import send_signal
from django_q.models import Rejected, Task, Tracked
from django_q.options import take_options
from django_q.package import TaskPackage, build_package

#: Rows in one transaction: tasks, and rejected packages, of which each may have many megabytes.
_TASKS = 500
_PACKAGES = 50


@dataclasses.dataclass
class Done:
    """What came of it."""

    #: The rows with which it was done.
    rows: list[Any] = dataclasses.field(default_factory=list)
    #: What could not be done, and why.
    errors: list[str] = dataclasses.field(default_factory=list)
    #: There were more rows than are taken at once.
    is_cut: bool = False


def resubmit(tasks: QuerySet[Any]) -> Done:
    """Send tasks once more, at most `COUNTED_ROWS`; failures then leave the table."""
    if Conf.SYNC:
        # Each for itself, and in no transaction: tasks have their own.
        return _in_batches(tasks, _run, 1)
    return _in_batches(tasks, _in_transaction(_resubmit, "hook"), _TASKS)


def requeue(packages: QuerySet[Rejected]) -> Done:
    """Put rejected packages back into their queues, at most `COUNTED_ROWS`; they leave the table.

    They are put back as they are: this is for a cause that was mended.
    """
    return _in_batches(packages, _in_transaction(_requeue, "reason"), _PACKAGES)


def cancel(tasks: QuerySet[Tracked], kill: bool) -> Done:
    """Cancel tasks under way, at most `COUNTED_ROWS`; with `kill` their workers end with them."""

    def act(batch: QuerySet[Any], done: Done) -> Sequence[Any]:
        rows = list(batch.only("id", "name"))
        cancel_all([row.pk for row in rows], kill)
        return rows

    return _in_batches(tasks, act, _TASKS)


def log(done: Done, user_id: Any, message: str) -> None:
    """Write into the history of the rows who sent them."""
    for start in range(0, len(done.rows), _TASKS):
        rows: Any = done.rows[start : start + _TASKS]
        LogEntry.objects.log_actions(user_id, rows, CHANGE, message)


_Act = Callable[[QuerySet[Any], Done], Sequence[Any]]


def _in_batches(rows: QuerySet[Any], act: _Act, size: int) -> Done:
    keys = list(rows.values_list("pk", flat=True)[: COUNTED_ROWS + 1])
    done = Done(is_cut=len(keys) > COUNTED_ROWS)
    del keys[COUNTED_ROWS:]
    everything = rows.model._base_manager.using(router.db_for_write(rows.model))
    for start in range(0, len(keys), size):
        try:
            batch = everything.filter(pk__in=keys[start : start + size])
            done.rows.extend(act(batch, done))
        except (BrokerError, ResultsUnavailable) as error:
            done.errors.append(str(error))
            break
    return done


def _in_transaction(act: _Act, column: str) -> _Act:
    """Lock the rows of a batch before the act; the column is one without an index."""

    def locked(batch: QuerySet[Any], done: Done) -> Sequence[Any]:
        with transaction.atomic(using=batch.db):
            # Changes nothing, but locks on every database; on SQLite before anything is read.
            batch.update(**{column: F(column)})
            return act(batch, done)

    return locked


def _resubmit(batch: QuerySet[Any], done: Done) -> Sequence[Any]:
    tasks, packages = [], []
    for task in batch.defer("result"):
        try:
            packages.append(_package(task))
            tasks.append(task)
        except DjangoQError as error:
            done.errors.append(f"{task}: {error}")
    if packages:
        send(packages)
    _forget(batch, tasks)
    return tasks


def _run(batch: QuerySet[Any], done: Done) -> Sequence[Any]:
    """Run a task here, where the settings say that all tasks run in place."""
    tasks = list(batch.defer("result"))
    for task in tasks:
        try:
            package = _package(task)
        except DjangoQError as error:
            done.errors.append(f"{task}: {error}")
            return []
        try:
            run_in_place(package)
        except Exception as error:  # the task's own; it is recorded as a new failure
            done.errors.append(f"{task}: {error}")
    _forget(batch, tasks)
    return tasks


def _forget(batch: QuerySet[Any], tasks: Sequence[Task]) -> None:
    """Delete what had failed and is on its way again."""
    failed = [task.pk for task in tasks if not task.success]
    # Anew: two lists of keys in one statement keep PostgreSQL from its index.
    batch.model._base_manager.using(batch.db).filter(pk__in=failed).delete()


def _package(task: Task) -> TaskPackage:
    try:
        args, kwargs = task.args or (), task.kwargs or {}
    except UnreadableValue as error:
        raise DjangoQError(f"Its arguments cannot be read: {error}") from error
    if not isinstance(args, (tuple, list)) or not isinstance(kwargs, dict):
        raise DjangoQError("Its arguments are no tuple and dict.")
    given = {"hook": task.hook, "group": task.group, "cluster": task.cluster}
    package = build_package(task.func, tuple(args), kwargs, take_options({"q_options": given}))
    send_signal(signals.pre_enqueue, task=package)
    return package


def _requeue(batch: QuerySet[Any], done: Done) -> Sequence[Any]:
    rows = list(batch.order_by("pk"))
    for queue in dict.fromkeys(row.queue for row in rows):
        shared_broker(queue).enqueue_many([row.payload for row in rows if row.queue == queue])
    batch.delete()
    for row in rows:
        del row.payload  # it is not needed any more, and may be large
    return rows
