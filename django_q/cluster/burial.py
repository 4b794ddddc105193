"""What is owed to a worker that died: its finished work is settled, its other work goes on.

Used by the housekeeper only, so user code (hooks, pickles of arguments) does not run here, but for
receivers of `task_finished` where no worker comes to the task any more.
"""

from collections.abc import Sequence

from django.db import Error, router
from django.utils import timezone

from django_q.brokers import Broker
from django_q.cluster.clerk import EXIT_CLERK_FAILED
from django_q.cluster.late_claims import LateClaims
from django_q.cluster.scoreboard import Cause, Mark, Obituary, Phase, Slot
from django_q.cluster.settlement import Settlement
from django_q.conf import Conf, logger
from django_q.exceptions import BrokerError, ResultsUnavailable, TimeoutException
from django_q.executor import announce_recorded
from django_q.models import Task, Tracked
from django_q.package import FailureCause
from django_q.recorder import Record, Stores, record, unpack
from django_q.results import cancellations, ledger, tracking
from django_q.results.base import Row
from django_q.results.entries import Entry
from django_q.results.tracking import first_run_at
from django_q.soft_limit import SoftLimit
from django_q.stored import seal_value

#: Tasks of one worker whose time is up within so many seconds are too late together: each by itself
#: would run once more to its limit, and cost one more worker.
_TOGETHER = 0.1
#: Time that receivers may take: the housekeeper's other duties wait.
_USER_CODE_LIMIT = 1.0


class Burial:
    """Deals with dead workers, by what stands in their slots. Idempotent: tried until it works."""

    def __init__(self, broker: Broker, settlement: Settlement, stores: Stores) -> None:
        self._broker = broker
        self._settlement = settlement
        self._stores = stores
        #: Looked at by the housekeeper.
        self.late_claims = LateClaims(broker)

    def bury(self, slot: Slot, obituary: Obituary) -> None:
        """Settle, charge and give back. Raises BrokerError or ResultsUnavailable, to try again."""
        finished, unsettled = _finished(slot)
        finished += self._settle(self._without_sent(unsettled))
        settled = {done.receipt for done in finished if done.receipt is not None}
        marks = slot.read_marks()
        # Whoever killed it: a death of what was cancelled is charged to nobody.
        wishes = cancellations.wishes() if marks else {}
        for position, mark in enumerate(marks):
            if not _is_among(finished, mark):
                end = _guilt(mark, marks, obituary, is_cancelled=mark.task_id in wishes)
                self._judge(slot, position, mark, end)
        holdings = slot.read_holdings()
        if holdings is not None:
            dealt_with = settled.union(mark.receipt for mark in marks if mark.receipt is not None)
            self._give_back([r for r in holdings.receipts if r not in dealt_with], holdings.holder)

    def _without_sent(self, finished: list[Record]) -> list[Record]:
        """Take their followers from those outcomes whose lease is not held any more.

        They were sent before it was acknowledged: a second copy might run beside the first. If it
        lapsed instead, whoever leases the package finds its outcome, and sends them.
        """
        receipts = [done.receipt for done in finished if done.followers and done.receipt]
        if not (receipts and self._broker.can_renew and self._broker.portable_receipts):
            return finished
        gone = set(receipts) - set(self._broker.renew(receipts))
        return [
            done._replace(followers=(), acknowledge=False) if done.receipt in gone else done
            for done in finished
        ]

    def _settle(self, finished: list[Record]) -> list[Record]:
        """Settle in one go, or else each by itself; gives those that are settled."""
        if not finished:
            return []
        try:
            self._settlement.settle(finished)
            return finished
        except (BrokerError, ResultsUnavailable):
            raise
        except Exception:  # a broker of one's own raises what its client raises
            logger.exception("Outcomes of a dead worker cannot be settled")
        if len(finished) == 1:
            return []  # its package goes back, so that others are not held up here
        return [done for record in finished for done in self._settle([record])]

    def finished_receipts(self, slot: Slot) -> list[str]:
        """Give the receipts of outcomes that stand in a slot's journal."""
        finished, unsettled = _finished(slot)
        return [done.receipt for done in finished + unsettled if done.receipt is not None]

    def _give_back(self, receipts: list[str], holder: str) -> None:
        if self._broker.can_release and receipts:
            self._broker.release(receipts)
        # Leases whose reply the dead worker had not written down yet.
        self._broker.release_holder(holder)
        self.late_claims.expect(holder)

    def _judge(self, slot: Slot, position: int, mark: Mark, obituary: Obituary) -> None:
        """Charge the death to what ran, and let it come back; the ledger decides what then."""
        is_started = mark.phase in (Phase.OPENING, Phase.RUNNING) and not self._is_gone(mark)
        if is_started and obituary.cause is Cause.HARD_LIMIT:
            self._condemn(mark)
        elif is_started and obituary.cause is Cause.CANCELLED:
            logger.info("Cancelled %s [%s]: its worker was killed", mark.name, mark.task_id)
            ledger.condemn(mark.key, cancellations.TEXT, is_cancelled=True)
        elif is_started and obituary.cause is Cause.NONE:
            # Each once, should the rest have to be tried again.
            if slot.get("charged") <= position and obituary.status != EXIT_CLERK_FAILED:
                self._charge(mark, obituary.how)
                slot.set("charged", position + 1)
        if mark.receipt is None:
            self._record_loss(mark, obituary)
        elif self._broker.can_release:
            # What may be recorded already must be looked up when it comes back.
            is_forgotten = obituary.cause is Cause.SHUTDOWN and is_started
            self._broker.release([mark.receipt], counted=not is_forgotten)
            if mark.task_id:
                tracking.requeue(mark.task_id, is_known=not is_forgotten)

    def _is_gone(self, mark: Mark) -> bool:
        """Tell whether a package is not lent to its run any more.

        The run has committed all it did, and taken it away with that, or another one has it now:
        there is nothing to be charged.
        """
        if mark.receipt is None or not self._broker.has_transactions:
            return False
        return not self._broker.renew([mark.receipt])

    def _charge(self, mark: Mark, reason: str) -> None:
        if mark.receipt is None:
            return
        is_opening = mark.phase is Phase.OPENING
        text = f"it died of {reason}"
        deaths = ledger.charge_death(mark.key, text, in_opening=is_opening)
        name = mark.name or mark.key
        # The supervisor has told of the death itself; the last one is told by the failed task.
        text = "%s [%s] has ended %d of %d workers (%s)"
        logger.info(text, name, mark.task_id, deaths, Conf.MAX_DEATHS, reason)

    def _condemn(self, mark: Mark) -> None:
        took = mark.until - mark.since
        text = (
            f"The task ran longer than its hard limit of {took:g} s and did not end "
            "at its soft limit, so its worker was killed (timeout)."
        )
        logger.error("Timeout %s [%s]: killed after %.1f s", mark.name, mark.task_id, took)
        if mark.receipt is None:
            return
        if mark.phase is Phase.OPENING:
            ledger.charge_death(mark.key, f"it took longer than {took:g} s", in_opening=True)
        ledger.condemn(mark.key, text)

    def _record_loss(self, mark: Mark, obituary: Obituary) -> None:
        """Record a failure for a task whose broker cannot deliver it again."""
        if mark.phase is not Phase.RUNNING:
            return
        now = timezone.now()
        # What its producer has written of it, if it is followed.
        known = tracking.find(mark.task_id) or Tracked(enqueued=now, queue=self._queue_of(mark))
        is_cancelled = obituary.cause is Cause.CANCELLED
        text = (
            cancellations.TEXT
            if is_cancelled
            else (
                f"The worker died while it ran this task ({obituary.how}), and "
                "a broker without receipts cannot deliver it again."
            )
        )
        row = Row(
            id=mark.task_id, name=mark.name, func=mark.func, hook=None,
            args=known.args or seal_value(()), kwargs=known.kwargs or seal_value({}),
            result=seal_value(text), group=known.group, cluster=known.queue,
            started=known.started or now, stopped=now, success=False,
            attempt_count=known.attempt, enqueued=known.enqueued,
            cause=FailureCause.CANCELLED if is_cancelled else FailureCause.DIED,
            priority=known.priority or None, run_at=first_run_at(known),
        )  # fmt: skip
        over = (Entry("untrack", (row.id,)), Entry("uncancel", (row.id,)))
        record([Record(row, to_database=True, entries=over)], self._stores)
        if known.task_backend:
            _tell_framework(row, known.task_backend)

    def _queue_of(self, mark: Mark) -> str:
        names = (name for name in self._broker.queue_names if mark.key.startswith(f"{name}:"))
        return next(names, self._broker.list_key)


def _guilt(
    mark: Mark, marks: Sequence[Mark], obituary: Obituary, *, is_cancelled: bool
) -> Obituary:
    """Give the end of a worker as it concerns one of the tasks that ran there.

    Which of several has killed it nobody can know, but which of them was too late can be known:
    the others go back as if the cluster had been stopped.
    """
    if is_cancelled:
        return obituary._replace(cause=Cause.CANCELLED)
    if obituary.cause is Cause.CANCELLED:
        return obituary._replace(cause=Cause.SHUTDOWN)
    if obituary.cause is not Cause.HARD_LIMIT:
        return obituary
    first = min((other.until for other in marks if other.until), default=0.0)
    if 0 < mark.until <= max(first, obituary.at) + _TOGETHER:
        return obituary
    return obituary._replace(cause=Cause.SHUTDOWN)


def _tell_framework(row: Row, backend: str) -> None:
    """Tell Django's task framework of the end of a task of its own."""
    tasks = Task.objects.using(router.db_for_write(Task))
    try:
        with SoftLimit().within(_USER_CODE_LIMIT, "A receiver of task_finished"):
            announce_recorded(tasks.get(pk=row.id), backend)
    except (Error, Task.DoesNotExist, TimeoutException) as error:
        logger.error("task_finished of %s [%s]: %s", row.name, row.id, error)


def _finished(slot: Slot) -> tuple[list[Record], list[Record]]:
    """Give the outcomes of the dead worker: those that are settled, and the others.

    Those are not settled once more: what follows them would run a second time.
    """
    parts: tuple[list[Record], list[Record]] = [], []
    for data, is_settled in slot.journal.read():
        parts[0 if is_settled else 1].append(unpack(data))
    return parts


def _is_among(finished: list[Record], mark: Mark) -> bool:
    """Tell whether what was marked is one of the outcomes."""
    if mark.receipt is not None:
        return any(done.receipt == mark.receipt for done in finished)
    # A run that is followed by another one has no row yet.
    ids = {done.row.id for done in finished if done.row is not None}
    return mark.task_id in ids.union(after.task_id for done in finished for after in done.followers)
