"""Tasks with `atomic`: what a run wrote, its row and the end of its package in one transaction.

Used by the threads that run tasks, each on its own connection. The package goes only if its lease
is still held: of two runs of one task, one is committed, and of the other nothing is.
"""

import os
import threading
from collections.abc import Callable

from django.db import Error, InterfaceError, OperationalError, transaction

from django_q.brokers import Broker, Lease
from django_q.brokers.several import serving_broker
from django_q.cluster.settlement import LeaseLost, Settlement
from django_q.conf import logger
from django_q.dispatch import check_transactions
from django_q.effect_options import check_effect
from django_q.exceptions import BrokerError, BrokerUnavailable, ResultsUnavailable
from django_q.executor import RunVoid, execute
from django_q.package import Outcome, TaskPackage
from django_q.recorder import Record, Stores, prepare
from django_q.results.entries import write_entries
from django_q.results.trouble import cause
from django_q.run import Run
from django_q.soft_limit import SoftLimit

#: Errors of the server, not of what the task wrote: deadlock, locks, a connection that was cut.
_PASSING = (OperationalError, InterfaceError, ResultsUnavailable, BrokerUnavailable)
#: Seconds before a run is tried again that the server ended.
_PAUSE = 1.0


class Effects:
    """Runs the tasks of one worker, those with `atomic` in a transaction. For all its threads."""

    def __init__(self, queue: str, stores: Stores) -> None:
        self._queue = queue
        self._stores = stores
        self._own = threading.local()

    def execute(
        self, lease: Lease, run: Run, soft_limit: SoftLimit
    ) -> tuple[Outcome, Record | None] | None:
        """Run a task to its outcome, and give what is left to settle if that is committed.

        None for a run that does not count; then its lease is to be given back.
        """
        package = run.package
        if not package.get("atomic"):
            return execute(package, soft_limit, run), None
        effect = Effect(lease, package, self._broker(), self._stores)
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
            "has no package any more: it was taken out of the queue while it ran, or another run "
            "has ended it; nothing that this run wrote is kept"
        )

    def _broker(self) -> Broker:
        if not hasattr(self._own, "broker"):
            # Not the clerk's: an instance is of one thread.
            self._own.broker = serving_broker(self._queue)
        broker: Broker = self._own.broker
        return broker


class Effect:
    """One run whose effect is committed as a whole, with all that is settled, or not at all."""

    def __init__(self, lease: Lease, package: TaskPackage, broker: Broker, stores: Stores) -> None:
        #: What is left to be settled, once it is committed.
        self.record: Record | None = None
        self._lease = lease
        self._package = package
        self._broker = broker
        self._database = stores.database
        self._settlement = Settlement(broker, stores)
        self._is_called, self._has_returned, self._is_committed = False, False, False

    def around(self, call: Callable[[], Outcome]) -> Outcome:
        """Call the task, and commit. Raises what makes the run a failure, or RunVoid.

        The commit is not within the task's time limit.
        """
        # Whoever sent it may have had other settings.
        check_effect(self._package)
        check_transactions(self._broker)
        try:
            with self._database.transaction():
                # The first of them, so it is heard before one of the task's own raises.
                transaction.on_commit(self._hear_commit, using=self._database.alias)
                outcome = self._call(call)
                done = self._settle(outcome)
        except RunVoid:
            # Should it be ours still, it is looked up when it comes again.
            self._lease.is_counted = True
            raise
        except BaseException as error:
            if not self._stands_in_spite_of(error):
                raise
        self.record = _rest(done)
        return outcome

    def _hear_commit(self) -> None:
        self._is_committed = True

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
        self._has_returned = True
        return outcome

    def _settle(self, outcome: Outcome) -> Record:
        ended, done = prepare(outcome, self._lease)
        if ended.error is not None:
            ended.error.add_note("The result of the task could not be stored.")
            raise ended.error
        self._settlement.settle_within(done)
        return done

    def _stands_in_spite_of(self, error: BaseException) -> bool:
        """Tell whether the run is committed, so that the error is only logged.

        Raises RunVoid where the server is to blame and not the task. A commit whose reply was lost
        is no exception: if it was one, the package is gone, and is not tried again.
        """
        if self._is_committed:
            text = "What %s [%s] left to on_commit raised"
            logger.error(text, self._package["name"], self._package["id"], exc_info=error)
            return True
        if isinstance(error, _PASSING) and (self._has_returned or not self._is_called):
            self._lease.pause, self._lease.is_counted = _PAUSE, self._is_called
            what = "committed" if self._is_called else "begun"
            text = cause(error) if isinstance(error, Error) else str(error)
            raise RunVoid(f"could not be {what}, and is tried again: {text}") from error
        return False


def _rest(done: Record) -> Record:
    """Give what of a record the clerk needs once it is committed."""
    row = done.row and done.row._replace(args=None, kwargs=None, result=None)
    part = done.part and done.part._replace(result=None, opening=None)
    return done._replace(row=row, part=part, followers=(), entries=(), is_committed=True)
