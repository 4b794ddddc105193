"""Tasks with `atomic`: what a run wrote, its row and the end of its package in one transaction.

Used by the threads that run tasks, each on its own connection. The package goes only if its lease
is still held: of two runs of one task, one is committed, and of the other nothing is.
"""

import os
import threading
from collections.abc import Callable
from typing import Any

from django.db import (
    Error,
    InterfaceError,
    OperationalError,
    connections,
    transaction,
)
from django.db.transaction import TransactionManagementError

from django_q.brokers import Broker, Lease
from django_q.brokers.several import serving_broker
from django_q.cluster.connections import leave_connections
from django_q.cluster.scoreboard import Phase
from django_q.cluster.settlement import LeaseLost, Settlement
from django_q.conf import logger
from django_q.dispatch import check_transactions
from django_q.effect_options import check_effect
from django_q.exceptions import BrokerError, BrokerUnavailable, ResultsUnavailable
from django_q.executor import RunVoid, execute
from django_q.package import Outcome, TaskPackage
from django_q.recorder import Record, Stores, prepare
from django_q.results.entries import write_entries
from django_q.results.trouble import cause, is_refusal
from django_q.run import Run
from django_q.soft_limit import SoftLimit

#: Errors of the server, not of what the task wrote: deadlock, locks, a connection that was cut.
_PASSING = (OperationalError, InterfaceError, ResultsUnavailable, BrokerUnavailable)
#: Seconds before a run is tried again that the server ended.
_PAUSE = 1.0
#: Number of the state in libpq (PQTRANS_INERROR).
_POSTGRESQL_ABORTED = 3
_SPOILT = (
    "The transaction of the task can only be rolled back: the task caught a database error outside "
    "an inner `atomic()`, or asked for it by `set_rollback`. Put `with transaction.atomic():` "
    "around the statement whose error is caught."
)
_LEFT_OPEN = (
    "The transaction of the task was not committed: a block of `atomic()` was entered before or in "
    "it and never left. Use `with transaction.atomic():`."
)


class Effects:
    """Runs the tasks of one worker, those with `atomic` in a transaction. For all its threads."""

    def __init__(self, queue: str, stores: Stores) -> None:
        self._queue = queue
        self._stores = stores
        self._own = threading.local()

    def execute(
        self, lease: Lease, run: Run, soft_limit: SoftLimit, mark: Callable[[Phase], None]
    ) -> tuple[Outcome, Record | None] | None:
        """Run a task to its outcome, and give what is left to settle if that is committed.

        None for a run that does not count; then its lease is to be given back. `mark` says in the
        slot what the thread does: only the task itself is to be within its limits.
        """
        package = run.package
        if not package.get("atomic"):
            return execute(package, soft_limit, run), None
        effect = Effect(lease, package, self._broker(), self._stores, mark)
        try:
            return execute(package, soft_limit, run, around=effect.around), effect.record
        except LeaseLost as lost:
            reason = self._see_to_entries(lease, lost)
            logger.warning("%s [%s] %s", package["name"], package["id"], reason)
            return None
        except RunVoid as void:
            logger.warning("%s [%s] %s", package["name"], package["id"], void)
            return None

    def _see_to_entries(self, lease: Lease, lost: LeaseLost) -> str:
        """Free what a task has taken, as its key, if no other run will; gives what happened."""
        try:
            if self._broker().is_there(str(lease.receipt)):
                return str(lost)
            self._stores.database.save([], lambda: write_entries(lost.entries))
        except (BrokerError, ResultsUnavailable) as error:
            return f"lost its lease while it ran, and what it has taken may not be free: {error}"
        return (
            "lost its lease while it ran, and its package is gone: it was taken out of the queue "
            "while it ran, or another run has ended it; nothing that this run wrote is kept"
        )

    def _broker(self) -> Broker:
        if not hasattr(self._own, "broker"):
            # Not the clerk's: an instance is of one thread.
            self._own.broker = serving_broker(self._queue)
        broker: Broker = self._own.broker
        return broker


class Effect:
    """One run whose effect is committed as a whole, with all that is settled, or not at all."""

    def __init__(
        self,
        lease: Lease,
        package: TaskPackage,
        broker: Broker,
        stores: Stores,
        mark: Callable[[Phase], None],
    ) -> None:
        #: What is left to be settled, once it is committed.
        self.record: Record | None = None
        self._lease = lease
        self._package = package
        self._broker = broker
        self._database = stores.database
        self._settlement = Settlement(broker, stores)
        self._mark = mark
        self._is_called, self._is_prepared, self._is_committed = False, False, False

    def around(self, call: Callable[[], Outcome]) -> Outcome:
        """Call the task, and commit. Raises what makes the run a failure, or RunVoid.

        Waiting for the transaction and the commit are not within the task's limits.
        """
        # Whoever sent it may have had other settings than this worker.
        check_effect(self._package)
        check_transactions(self._broker)
        self._mark(Phase.CHECKING)
        try:
            with self._database.transaction():
                # The first of them, so it is heard before one of the task's own raises.
                transaction.on_commit(self._hear_commit, using=self._database.alias)
                self._mark(Phase.RUNNING)
                outcome = self._call(call)
                done = self._settle(outcome)
            if not self._is_committed:
                leave_connections()
                raise TransactionManagementError(_LEFT_OPEN)
        except RunVoid:
            # Should it be ours still, it is looked up when it comes again.
            self._lease.is_counted = True
            raise
        except BaseException as error:
            if not self._stands_in_spite_of(error):
                # What sees to the failure is the project's code as well.
                self._mark(Phase.RUNNING)
                raise
        self.record = _rest(done)
        return outcome

    def _hear_commit(self) -> None:
        self._is_committed = True
        # What the task left to on_commit comes next.
        self._mark(Phase.RUNNING)

    def _call(self, call: Callable[[], Outcome]) -> Outcome:
        pid = os.getpid()
        self._is_called = True
        try:
            outcome = call()
        finally:
            if os.getpid() != pid:
                # The task has forked, and this is the child, come back by oversight: the
                # connection is its parent's.
                os._exit(0)
        return outcome

    def _settle(self, outcome: Outcome) -> Record:
        if self._is_spoilt():
            connection: Any = connections[self._database.alias]
            raise TransactionManagementError(_SPOILT) from connection.rollback_exc
        ended, done = prepare(outcome, self._lease)
        if ended.error is not None:
            ended.error.add_note("The result of the task could not be stored.")
            raise ended.error
        self._is_prepared = True
        self._mark(Phase.SETTLING)
        self._settlement.settle_within(done)
        return done

    def _is_spoilt(self) -> bool:
        connection: Any = connections[self._database.alias]
        if connection.needs_rollback or connection.vendor != "postgresql":
            return bool(connection.needs_rollback)
        return bool(connection.connection.info.transaction_status == _POSTGRESQL_ABORTED)

    def _stands_in_spite_of(self, error: BaseException) -> bool:
        """Tell whether the run is committed, so that the error is only logged.

        Raises RunVoid where the server is to blame and not the task. A commit whose reply was lost
        is no exception: if it was one, the package is gone, and is not tried again.
        """
        if self._is_committed:
            text = "What %s [%s] left to on_commit raised"
            logger.error(text, self._package["name"], self._package["id"], exc_info=error)
            return True
        is_ours = self._is_prepared or not self._is_called
        if is_ours and isinstance(error, _PASSING) and not _is_refused(error):
            self._lease.pause, self._lease.is_counted = _PAUSE, self._is_called
            what = "committed" if self._is_called else "begun"
            text = cause(error) if isinstance(error, Error) else str(error)
            raise RunVoid(f"could not be {what}, and is tried again: {text}") from error
        return False


def _is_refused(error: BaseException) -> bool:
    return is_refusal(error) or (error.__cause__ is not None and is_refusal(error.__cause__))


def _rest(done: Record) -> Record:
    """Give what of a record the clerk needs once it is committed."""
    row = done.row and done.row._replace(args=None, kwargs=None, result=None)
    part = done.part and done.part._replace(result=None, opening=None)
    return done._replace(row=row, part=part, followers=(), entries=(), is_committed=True)
