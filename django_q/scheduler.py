"""The scheduler: enqueues a task for each schedule that is due. Runs in the housekeeper.

A run moves the row on and enqueues in one transaction, so that of several clusters one does it.
Some dozen schedules share a transaction, and when anything goes wrong in it each has its own.

Where the packages are in the same database, both happen or none. Elsewhere a scheduler that is
killed between enqueueing and the commit leaves a schedule that is still due; the id of its task is
made from what the row said, so the second task is the same one, and a worker drops it.
"""

import collections
import math
import time
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import Error, router, transaction
from django.utils import timezone

from django_q import uniqueness
from django_q.brokers import Broker, get_broker
from django_q.conf import Conf, logger
from django_q.dispatch import dispatch, make_ready
from django_q.exceptions import (
    BrokerError,
    BrokerUnavailable,
    PackageError,
    PayloadTooLarge,
)
from django_q.following import followed
from django_q.models import Schedule
from django_q.models.timing import as_stored, schedule_zone
from django_q.package import Follower, TaskPackage, derived_id
from django_q.results import waiting
from django_q.results.looks import Together
from django_q.schedule_package import build_scheduled
from django_q.schedule_rows import ScheduleRows, State, state_of
from django_q.soft_limit import NoLimit, SoftLimit

#: Time one pass may take: the housekeeper has other duties, some of them every tenth of a second.
_LONGEST_PASS = 0.5
#: Runs in one pass that make up for missed ones, beside the first of each schedule.
_MISSED_PER_PASS = 100
#: Schedules in one transaction. Measured on SQLite, PostgreSQL and with Redis: ten times as many a
#: second as with a transaction for each, and 200 bring little more.
_CHUNK = 50
#: Time for which a queue that refused is left alone, if it is not the cluster's own.
_HOLD = 30.0
#: Begins the names from which the ids of scheduled tasks are made.
_NAMESPACE = "5c4f0d7be0c04f6c9a6b1f6f0f6b2a11"
#: What comes out of a row that cannot be run, however often it is tried.
_BROKEN = (ValueError, TypeError, ArithmeticError, PackageError, PayloadTooLarge)


class _Run(NamedTuple):
    """A task that is ready to go, and what its row has to say still when it goes."""

    schedule: Schedule
    seen: State
    queue: str
    package: TaskPackage
    ready: Follower
    is_kept: bool


class Scheduler:
    """Runs the schedules of one queue, that of its broker. Used by one thread."""

    def __init__(
        self,
        broker: Broker,
        soft_limit: SoftLimit | None = None,
        together: Together | None = None,
    ) -> None:
        self._broker = broker
        self._soft_limit = soft_limit or NoLimit()
        self._rows = ScheduleRows(broker.list_key, together)
        # Where not, a worker has to look whether the task is done already: a query each.
        self._is_exact = getattr(broker, "alias", None) == self._rows.alias
        self._other_brokers: dict[str, Broker] = {}
        self._held: dict[str, float] = {}
        # What is due and had no turn yet: it goes first, whatever falls due meanwhile.
        self._ids: collections.deque[int] = collections.deque()

    def look(self) -> float:
        """Enqueue what is due; the seconds until more is, as far as that is known.

        Raises as `run_due`.
        """
        if not self._ids:
            with self._rows.watched():
                first = self._rows.next_due()
            due_in = math.inf if first is None else (first - timezone.now()).total_seconds()
            if due_in > 0:
                return due_in
        # What is due and was not enqueued is held, or in another's hand.
        return 0.0 if self.run_due() else math.inf

    def run_due(self, now: datetime | None = None, missed: int = _MISSED_PER_PASS) -> int:
        """Enqueue what is due, for half a second at most; how many tasks.

        Each schedule has one run, and then, in turn with others, up to `missed` that make up for
        missed ones. A schedule that cannot be run is disabled and says why; the others go on.
        Raises BrokerError or ResultsUnavailable when the servers are away; nothing is lost then.
        """
        now = now or timezone.now()
        schedule_zone()  # a wrong one is the fault of the settings, and of no schedule
        end = time.monotonic() + _LONGEST_PASS
        enqueued = 0
        with self._rows.watched():
            self._ids = self._ids or collections.deque(self._rows.due_ids(now))
            while self._ids and time.monotonic() < end:
                ids = [self._ids.popleft() for _ in range(min(_CHUNK, len(self._ids)))]
                done = self._run(ids, now)
                enqueued += len(done)
                again = [schedule.pk for schedule in done if _is_due(schedule, now)][:missed]
                missed -= len(again)
                self._ids.extend(again)
        return enqueued

    def _run(self, ids: Sequence[int], now: datetime) -> list[Schedule]:
        """Enqueue a task for each that is due; those for which that was done."""
        by_queue: dict[str, list[_Run]] = {}
        for schedule in self._rows.read_due(ids, now):
            run = self._prepare(schedule, now)
            if run is not None:
                by_queue.setdefault(run.queue, []).append(run)
        done = [run for runs in by_queue.values() for run in self._enqueue(runs)]
        for run in done:
            text = "Schedule %s: task [%s] is " + ("due" if _is_sent(run) else "not over yet")
            logger.info(text, _label(run.schedule), run.schedule.task)
        return [run.schedule for run in done]

    def _prepare(self, schedule: Schedule, now: datetime) -> _Run | None:
        """Make the task of a schedule and move it on in memory; None when it cannot run."""
        seen, due = state_of(schedule), as_stored(schedule.next_run) or now
        try:
            package = build_scheduled(schedule, due, _task_id(schedule, due), self._soft_limit)
            queue = package.get("cluster") or self._broker.list_key
            if not self._is_exact:
                package["derived"] = True
            waiting.mark(package)
            ready = make_ready(self._broker_of(queue), package)
            is_kept = schedule.move_on(now)
        except _BROKEN as error:
            self._disable(schedule, seen, error)
            return None
        schedule.task = package["id"]
        return _Run(schedule, seen, queue, package, ready, is_kept)

    def _enqueue(self, runs: Sequence[_Run]) -> list[_Run]:
        """Enqueue tasks of one queue in one transaction; those that nobody else had done."""
        queue = runs[0].queue
        if time.monotonic() < self._held.get(queue, 0.0):
            return []
        broker = self._broker_of(queue)
        try:
            with transaction.atomic(using=self._rows.alias):
                claimed = self._claim(runs)
                sent = [run for run in claimed if _is_sent(run)]
                with followed([run.package for run in sent], queue, waiting.keep_for_others):
                    dispatch(broker, [run.ready for run in sent])
                return claimed
        except (Error, BrokerError) as error:
            # One of them may be the cause, unless the server is away.
            if len(runs) == 1 or isinstance(error, BrokerUnavailable):
                self._judge(runs[0], broker, error)
                return []
        return [run for single in runs for run in self._enqueue([single])]

    def _claim(self, runs: Sequence[_Run]) -> list[_Run]:
        ids = self._rows.claim({run.schedule.pk: run.seen for run in runs})
        claimed = [run for run in runs if run.schedule.pk in ids]
        for run in claimed:
            # While another one has its key, the schedule only moves on.
            run.schedule.task = uniqueness.claim(run.package, run.queue) or run.schedule.task
        if claimed:
            self._rows.move([run.schedule for run in claimed])
            self._rows.delete(run.schedule.pk for run in claimed if not run.is_kept)
        return claimed

    def _judge(self, run: _Run, broker: Broker, error: Error | BrokerError) -> None:
        """Tell whose fault it is: the schedule's, its queue's, or that of what all others use."""
        if isinstance(error, PayloadTooLarge):
            self._disable(run.schedule, run.seen, error)
        elif isinstance(error, Error) or broker is self._broker:
            raise error
        else:
            self._held[run.queue] = time.monotonic() + _HOLD
            text = "The queue %s takes no scheduled tasks: %s Next try in %d s."
            logger.error(text, run.queue, error, _HOLD)

    def _disable(self, schedule: Schedule, seen: State, error: Exception) -> None:
        reason = str(error) or type(error).__name__
        if self._rows.disable(schedule.pk, seen, reason):
            logger.error("Schedule %s is disabled: %s", _label(schedule), reason)

    def _broker_of(self, queue: str) -> Broker:
        if queue == self._broker.list_key:
            return self._broker
        if queue not in self._other_brokers:
            self._other_brokers[queue] = get_broker(queue)
        return self._other_brokers[queue]


def scheduler(broker: Broker | None = None) -> None:
    """Enqueue one task for each schedule of this cluster that is due now."""
    Scheduler(broker or get_broker()).run_due(missed=0)


def run_now(schedule: Schedule) -> str:
    """Enqueue the task of a schedule once, besides its due times; gives the task's id.

    Raises PackageError when it cannot be run, and BrokerError.
    """
    now = timezone.now()
    # Every call is a run of its own.
    task_id = derived_id(_NAMESPACE, f"{schedule.pk} now {now.isoformat()} {time.monotonic_ns()}")
    try:
        package = build_scheduled(schedule, now, task_id, NoLimit())
    except (ValueError, TypeError) as error:
        raise PackageError(f"Schedule {_label(schedule)} cannot be run: {error}") from error
    queue = package.get("cluster") or Conf.PREFIX
    holder = uniqueness.claim(package, queue)
    if holder is not None:
        return holder
    try:
        broker = get_broker(queue)
        waiting.mark(package)
        ready = make_ready(broker, package)
        with followed([package], queue):
            dispatch(broker, [ready])
    except BaseException:
        uniqueness.give_up([package])
        raise
    rows = Schedule.objects.using(router.db_for_write(Schedule))
    rows.filter(pk=schedule.pk).update(task=task_id)
    return task_id


def _task_id(schedule: Schedule, due: datetime) -> str:
    """Make an id that is the same until the run is committed, and never again.

    The last task is part of it: whoever sets a schedule back to an old time wants a new run.
    """
    return derived_id(
        _NAMESPACE, f"{Conf.PREFIX} {schedule.pk} {due.isoformat()} {schedule.task or ''}"
    )


def _is_sent(run: _Run) -> bool:
    """Tell whether a task is sent, and not kept back for another one that has its key."""
    return run.schedule.task == run.package["id"]


def _is_due(schedule: Schedule, now: datetime) -> bool:
    due = as_stored(schedule.next_run)
    is_over = schedule.repeats == 0 or schedule.schedule_type == Schedule.ONCE
    return due is not None and due <= now and not is_over


def _label(schedule: Schedule) -> str:
    return f"{schedule.name or schedule.func} ({schedule.pk})"
