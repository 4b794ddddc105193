"""The housekeeper: the process with the clock and the books. Runs no user code.

Duties, each on its own clock, and none stops the others when its server is away:

1. bury the dead: settle what they had finished, charge what killed them, give back the rest, and
   a moment later what a server had lent them meanwhile;
2. renew for workers that hold the interpreter too long to do it themselves;
3. keep the heartbeat;
4. enqueue packages that were delayed and the tasks of schedules, when they are due, and tell of
   schedules that are late;
5. prune results and old rows of all books; keep the permits of what runs;
6. end a cluster that was to run once, when its queue is empty;
7. when the supervisor is gone: see that no worker outlives it, and give back what they had.
"""

import functools
import math
import multiprocessing.connection
import os
import signal
import time
from collections.abc import Callable

from django.db.models import Model

from django_q.brokers import Broker
from django_q.cluster.burial import Burial
from django_q.cluster.cancelling import Cancelling
from django_q.cluster.child import Boot
from django_q.cluster.delayed import DelayedPackages
from django_q.cluster.duty import Duty, News
from django_q.cluster.heartbeat import Heartbeat
from django_q.cluster.metrics import forget_process
from django_q.cluster.scoreboard import Cause, Obituary, Slot, State
from django_q.cluster.settlement import Settlement
from django_q.cluster.system import SIGKILL, is_alive, kill_group
from django_q.cluster.timetable import Timetable
from django_q.conf import Conf, logger
from django_q.models import (
    Attempt,
    Cancellation,
    GatheredPart,
    Gathering,
    Ledger,
    Pace,
    Permit,
    Tracked,
    UniqueKey,
)
from django_q.recorder import Stores
from django_q.results import (
    attempts,
    cancellations,
    gatherings,
    keys,
    ledger,
    paces,
    permits,
    tracking,
)
from django_q.results.looks import Together, is_any
from django_q.results.pruning import prune, prune_by_age

#: Longest rest between two rounds, and how late it is noticed that a package was kept, a schedule
#: made, a cancellation wished. To be woken costs an idle process more than most of its duties do,
#: so a round does all that is at hand.
_LONGEST_REST = 0.5
#: Time between two looks at workers that are silent, and whether orphans have left.
_TICK = 0.1
#: Time between two prunings: results grow by some thousand rows at most in between.
_PRUNE_PERIOD = 5.0
_LEDGER_PERIOD = 3600.0
#: Time after which a gathering goes on whose last clerk died between its commit and its call.
_GATHER_PERIOD = 5.0
#: Time between two looks for schedules that are late, by a minute at least.
_TELL_PERIOD = 30.0
#: Time workers have to leave by themselves when the supervisor is gone: they need some 1.3 s, and
#: all are gone within two.
_ORPHAN_TIME = 1.5
#: A worker whose clerk was silent for so long is stuck, however short `retry` is.
_SILENCE = 1.0
#: After so many times `retry` a task that was running is lost: its lease has lapsed after one, and
#: the clocks of two machines may differ.
_LOST = 3
#: Tables, and what deletes their old rows.
_BOOKS: tuple[tuple[tuple[type[Model], ...], Callable[[], object]], ...] = (
    ((Ledger,), ledger.drop_old_rows),
    ((Gathering, GatheredPart), gatherings.drop_old),
    ((Attempt,), attempts.drop_old),
    ((UniqueKey,), keys.drop_old),
    ((Permit,), permits.drop_old),
    ((Pace,), paces.drop_old),
    ((Cancellation,), cancellations.drop_old),
    ((Tracked,), tracking.drop_old),
)
#: Those of these states hold nothing.
_NOT_AT_WORK = (State.FREE, State.BOOTING, State.LEFT)


class Housekeeper:
    """Does the duties of one cluster until it is told to stop."""

    def __init__(self, boot: Boot, broker: Broker, settlement: Settlement, stores: Stores) -> None:
        self._boot = boot
        self._broker = broker
        self._slot, *self._slots = boot.board.slots()
        self._burial = Burial(broker, settlement, stores)
        self._settlement, self._pending = settlement, gatherings.Pending()
        self._heartbeat = Heartbeat(boot, broker, self._slots)
        self._done_at_pruning = -1
        self._was_empty = False
        duty, together = functools.partial(Duty, News()), Together()
        self._duties = [
            duty("burying the dead", 0.0, self._bury),
            duty("late claims", _LONGEST_REST, self._burial.late_claims.look),
            duty("cancelling", _LONGEST_REST, Cancelling(boot.board, self._slots, together).look),
            duty(
                "renewing for stuck workers",
                min(_LONGEST_REST, Conf.RETRY / 10),
                self._renew_for_stuck,
            ),
            duty("heartbeat", Conf.GUARD_CYCLE, self._heartbeat.beat),
            duty("delayed packages", _LONGEST_REST, DelayedPackages(broker, together).look),
            duty("pruning", _PRUNE_PERIOD, self._prune),
            duty("gatherings", _GATHER_PERIOD, self._send_gathered),
            duty("permits", Conf.RETRY / 3, self._renew_permits),
            duty("tasks under way", Conf.RETRY, self._put_tracked_right),
            duty("the ledger", _LEDGER_PERIOD, self._drop_old_rows),
        ]
        if Conf.SCHEDULER:
            timetable = Timetable(broker, together)
            self._duties += [
                duty("declared schedules", 0.0, timetable.synchronise),
                duty("schedules", _LONGEST_REST, timetable.look),
                duty("late schedules", _TELL_PERIOD, timetable.tell),
            ]
        if boot.run_once:
            self._duties.append(
                duty("the end of the queue", Conf.GUARD_CYCLE, self._end_when_empty)
            )

    def run(self) -> None:
        """Do what is due until the supervisor says that it is over, or is gone."""
        # A signal to all processes of the cluster is no reason to leave before the workers.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        slot, board, life = self._slot, self._boot.board, self._boot.life
        slot.set("state", State.IDLE)
        # It may have been born to a supervisor that is gone by now.
        is_alone = life.poll()
        while not (is_alone or board.is_over):
            slot.beat = time.monotonic()
            for duty in self._duties:
                duty.do_when_due()
            is_alone = self._rest()
        if is_alone:
            self._end_orphans()
        Duty(News(), "late claims", 0.0, self._burial.late_claims.look_last).do_when_due()
        self._heartbeat.end()

    def _rest(self) -> bool:
        """Wait until a duty is due or the supervisor rings; True when the supervisor is gone."""
        rest = min(_LONGEST_REST, *(duty.due_in for duty in self._duties))
        life, bell = self._boot.life, self._boot.bell
        heard = multiprocessing.connection.wait([life, bell], rest)
        try:
            if bell in heard:
                bell.recv_bytes()
        except EOFError:  # the supervisor is gone (after a fork the children have its end too)
            return True
        return life in heard

    def _bury(self) -> None:
        troubles: list[Exception] = []
        for slot in self._slots:
            obituary = slot.obituary
            if obituary is None or slot.is_buried:
                continue
            try:
                self._burial.bury(slot, obituary)
                forget_process(obituary.pid)
                slot.set("burial", obituary.pid)
            except Exception as error:  # the others are buried all the same; the duty tells
                troubles.append(error)
        if troubles:
            raise troubles[0]

    def _end_orphans(self) -> None:
        """Wait until the workers have left, kill those that do not, and give back what is left."""
        limit = time.monotonic() + _ORPHAN_TIME
        while any(_is_alive(slot) for slot in self._slots) and time.monotonic() < limit:
            time.sleep(_TICK)
        for slot in self._slots:
            if _is_alive(slot):
                # Its task holds the interpreter, or a server its clerk.
                kill_group(slot.get("pid"))
                obituary = Obituary(slot.get("pid"), -SIGKILL, Cause.SHUTDOWN)
                slot.write_obituary(obituary)
        Duty(News(), "burying the dead", 0.0, self._bury).do_when_due()

    def _renew_for_stuck(self) -> float:
        """Keep the leases of workers whose clerk cannot run; give back what waits there.

        Gives the seconds until it is to look again: soon where a busy clerk begins to be silent.
        """
        now, look_again = time.monotonic(), math.inf
        if not (self._broker.can_renew and self._broker.portable_receipts):
            return look_again
        for slot in self._slots:
            if slot.get("state") in _NOT_AT_WORK or slot.obituary:
                continue
            if now - max(slot.beat, slot.renewed) > Conf.RETRY / 3:
                slot.renewed = now
                holdings = slot.read_holdings()
                if holdings is not None and holdings.receipts:
                    self._broker.renew(holdings.receipts)
            if now - slot.beat > _LONGEST_REST and slot.get("state") == State.BUSY:
                look_again = _TICK
            if now - slot.beat <= _SILENCE or not self._broker.can_release:
                continue
            # What waits has waited at least since the last one began.
            newest = max((mark.since for mark in slot.read_marks()), default=0.0)
            is_held_up = slot.recalled < newest < now - _SILENCE
            if is_held_up:
                slot.recalled = now
                self._recall(slot)
        return look_again

    def _recall(self, slot: Slot) -> None:
        """Give back what waits behind what runs, out of the clerk's hands."""
        # What is held first: what is leased after the flag was raised is not given back. Then the
        # flag, then the marks: the worker marks first and looks at the flag then.
        holdings = slot.read_holdings()
        slot.set("recall", slot.get("recall") + 1)
        marks = slot.read_marks()
        if holdings is None:
            return
        kept = set(self._burial.finished_receipts(slot))
        kept.update(mark.receipt for mark in marks if mark.receipt is not None)
        self._broker.release([r for r in holdings.receipts if r not in kept])

    def _send_gathered(self) -> None:
        if self._pending.is_any():
            self._settlement.send_gathered()

    def _prune(self) -> None:
        done = sum(slot.get("done") for slot in self._slots)
        if done != self._done_at_pruning:
            prune(Conf.SAVE_LIMIT, Conf.SAVE_LIMIT_PER, duration=0.5)
            self._done_at_pruning = done
        # Rows grow old while nothing is done, too.
        prune_by_age(Conf.KEEP_SUCCESSES, Conf.KEEP_FAILURES, duration=0.25)

    def _renew_permits(self) -> None:
        """Keep the permits of what runs here; most tasks have none."""
        slots = [slot for slot in self._slots if slot.obituary is None]
        ids = [mark.task_id for slot in slots for mark in slot.read_marks() if mark.task_id]
        if ids and is_any(Permit):
            permits.renew(ids, Conf.RETRY)

    def _put_tracked_right(self) -> None:
        """Mend the rows of what machines ran that are gone; keep those of what runs here."""
        slots = [slot for slot in self._slots if slot.obituary is None]
        ids = [mark.task_id for slot in slots for mark in slot.read_marks() if mark.task_id]
        if is_any(Tracked):
            # A worker that holds the interpreter cannot do it.
            tracking.see(ids)
            tracking.put_right(_LOST * Conf.RETRY)

    def _drop_old_rows(self) -> None:
        for models, drop in _BOOKS:
            if any(map(is_any, models)):
                drop()

    def _end_when_empty(self) -> None:
        """Stop the cluster once nothing waits and nobody works, seen twice in a row."""
        alive = [slot for slot in self._slots if slot.get("state") != State.FREE]
        is_empty = (
            bool(alive)
            and all(slot.get("state") == State.IDLE and not slot.obituary for slot in alive)
            and self._broker.queue_size() == 0
        )
        if is_empty and self._was_empty:
            logger.info("The queue %s is empty", ", ".join(self._broker.queue_names))
            os.kill(self._boot.supervisor, signal.SIGTERM)
        self._was_empty = is_empty


def _is_alive(slot: Slot) -> bool:
    if slot.get("state") in (State.FREE, State.LEFT) or slot.obituary is not None:
        return False
    return is_alive(slot.get("pid"))
