"""The supervisor: watches, never works. Standard library only: no database, no broker, no thread.

It keeps the wanted number of workers and one housekeeper alive, kills what exceeds its hard limit,
writes how each child ended into the child's slot, and stops everything within a bounded time.
"""

import logging
import multiprocessing.context
import time
from collections.abc import Sequence

from django_q.cluster.child import EXIT_BOOT_FAILED
from django_q.cluster.health import Health, notify_address
from django_q.cluster.offspring import Child, Offspring, Plan
from django_q.cluster.scoreboard import Cause, Mark, Obituary, Phase, Scoreboard, Slot, State
from django_q.cluster.system import ask_to_end, kill_group
from django_q.cluster.wakeup import Wakeup

logger = logging.getLogger("django-q")

#: Longest time the loop sleeps; deaths and signals wake it at once.
_LONGEST_SLEEP = 0.5
#: Longest sleep while the housekeeper is awaited: it has no other way to tell.
_SHORT_SLEEP = 0.02
#: Time the housekeeper has for its last duties when the cluster stops.
_LAST_DUTIES = 3.0
#: Time between a kill and what the system needs to carry it out.
_KILL_TIME = 1.0
#: A child that waits and has not beaten for so long hangs in a connection whose other end was lost
#: without a word. Ours wait some 30 s for a server or a lock; TCP alone may wait for hours.
_LONGEST_SILENCE = 120.0
#: So many tasks of a dead worker are named in its line of the log.
_TOLD = 5


class Supervisor:
    """Keeps the children of one cluster. `run` returns when all of them are gone."""

    def __init__(self, plan: Plan, context: multiprocessing.context.BaseContext) -> None:
        self.plan = plan
        self.reincarnations = 0
        # Slot 0 is the housekeeper's. A dead worker's slot is taken until it is buried, so there
        # are spare ones for those who take its place meanwhile.
        self._board = Scoreboard(context, 2 * plan.workers + 3, plan.places)
        self._slots = self._board.slots()
        self._children = Offspring(plan, context, self._board)
        self._health = Health(plan.health_file, notify_address())
        self._causes: dict[int, Cause] = {}
        self._stops = 0
        self._stop_at = 0.0
        self._is_announced = self._is_short_of_slots = False
        self._is_hurried = self._is_draining = False
        self._exit_code = 0

    # -- the loop -----------------------------------------------------------------------------

    def run(self) -> int:
        """Run the cluster until it was stopped; gives the exit code."""
        with Wakeup(self.stop) as wakeup:
            while True:
                self._clear_buried()
                self._reap()
                if self._stops:
                    if self._stop():
                        self._health.end()
                        return self._exit_code
                else:
                    self._respawn()
                    self._say_running()
                self._kill_stuck()
                self._health.tell((child for _, child in self._children.all()), time.monotonic())
                wakeup.wait(self._pause(), self._children.sentinels())

    def stop(self) -> None:
        """Begin to stop; a second call stops at once. Safe in a signal handler."""
        self._stops += 1

    def _pause(self) -> float:
        now = time.monotonic()
        marks = [mark for _, child in self._children.of("worker") for mark in child.marks]
        limits = [mark.until for mark in marks if mark.until]
        if self._stops:
            limits.append(self._stop_at)
        elif self._children.births.is_waiting:
            limits.append(now + self._children.births.left)
        if self._unburied() or not (self._stops or self._is_announced):
            limits.append(now + _SHORT_SLEEP)
        return min([_LONGEST_SLEEP, *(max(0.005, limit - now) for limit in limits)])

    # -- deaths -------------------------------------------------------------------------------

    def _reap(self) -> None:
        for pid, child, status in self._children.ended():
            now = time.monotonic()
            self._note_end(child, Obituary(pid, status, self._cause_of(pid, child, now), now))

    def _cause_of(self, pid: int, child: Child, now: float) -> Cause:
        cause = self._causes.pop(pid, Cause.NONE)
        if cause is Cause.HARD_LIMIT and not _is_late(child.marks, now):
            # What exceeded its limit ended at the last moment, and the kill met the next one.
            return Cause.SHUTDOWN
        return cause

    def _note_end(self, child: Child, obituary: Obituary) -> None:
        was_ready = child.is_ready
        has_left = child.slot.get("state") == State.LEFT
        if obituary.status == EXIT_BOOT_FAILED and not was_ready:
            logger.critical("%s could not start, so the cluster stops", child.name)
            self._exit_code = 1
            self._stops = max(1, self._stops)
        elif not was_ready:
            pause = self._children.births.fail()
            if not self._stops:
                text = "%s died while it started (%s); the next try is in %.1f s"
                logger.error(text, child.name, obituary.how, pause)
        elif not self._stops:
            self._say_end(child, obituary, has_left)
        if child.role == "housekeeper" or has_left or not was_ready:
            child.slot.clear()
        else:
            child.slot.write_obituary(obituary)
            self._children.call_housekeeper()

    def _say_end(self, child: Child, obituary: Obituary, has_left: bool) -> None:
        self._children.births.succeed()
        self.reincarnations += 1
        if has_left and obituary.status == 0:
            logger.info("%s [%d] left and is replaced", child.name, obituary.pid)
            return
        running = [f"{mark.name} [{mark.task_id}]" for mark in child.marks if mark.task_id]
        more = f" and {len(running) - _TOLD} more" if len(running) > _TOLD else ""
        what = f", running {', '.join(running[:_TOLD])}{more}" if running else ""
        text = "%s [%d] died (%s)%s and is replaced"
        logger.error(text, child.name, obituary.pid, obituary.how, what)

    def _clear_buried(self) -> None:
        for slot in self._slots:
            if slot.is_buried:
                slot.clear()

    def _unburied(self) -> bool:
        return any(slot.get("obituary_pid") for slot in self._slots)

    def _kill_stuck(self) -> None:
        now = time.monotonic()
        for pid, child in self._children.all():
            if pid in self._causes:
                continue
            marks = child.marks
            if _is_late(marks, now):
                self._kill(pid, Cause.HARD_LIMIT)
            elif child.slot.get("condemned") == pid:
                self._kill(pid, Cause.CANCELLED)
            elif child.is_ready and _is_waiting(marks) and _is_silent(child.slot, now):
                logger.error("%s [%d] hangs since %.0f s", child.name, pid, _LONGEST_SILENCE)
                self._kill(pid, Cause.SILENCE)

    def _kill(self, pid: int, cause: Cause) -> None:
        self._causes.setdefault(pid, cause)
        kill_group(pid)

    # -- births -------------------------------------------------------------------------------

    def _respawn(self) -> None:
        self._keep_housekeeper()
        for _ in range(self.plan.workers - len(self._children.of("worker"))):
            slot = self._free_slot()
            if slot is not None and not self._children.births.is_waiting:
                self._children.start("worker", slot)

    def _keep_housekeeper(self) -> None:
        if not self._children.of("housekeeper") and not self._children.births.is_waiting:
            self._children.start("housekeeper", self._slots[0])

    def _free_slot(self) -> Slot | None:
        taken = {child.slot.index for _, child in self._children.all()}
        for slot in self._slots[1:]:
            if slot.index not in taken and not slot.get("obituary_pid"):
                self._is_short_of_slots = False
                return slot
        if not self._is_short_of_slots:
            self._is_short_of_slots = True
            logger.error("Dead workers are not replaced until the housekeeper can settle theirs")
        return None

    def _say_running(self) -> None:
        """Say once that all children are up; their slots tell."""
        is_up = all(child.is_ready for _, child in self._children.all())
        if self._is_announced or not is_up or len(self._children) <= self.plan.workers:
            return
        self._is_announced = True
        logger.info("Q Cluster %s running", self.plan.cluster_name)
        self._health.say_running()

    # -- the end ------------------------------------------------------------------------------

    def _stop(self) -> bool:
        """Go on stopping; True when everything is gone."""
        now = time.monotonic()
        if not self._stop_at:
            self._begin_to_stop(now)
        if self._stops > 1 and not self._is_hurried:
            self._is_hurried = True
            self._stop_at = min(self._stop_at, now)
        if self._children.of("worker"):
            self._see_workers_off(now)
            return False
        if not self._is_draining:
            self._is_draining = True
            self._stop_at = now + _LAST_DUTIES
        if self._unburied() and now < self._stop_at and not self._exit_code:
            self._keep_housekeeper()
            return False
        return self._dismiss_housekeeper(now)

    def _begin_to_stop(self, now: float) -> None:
        workers = self._children.of("worker")
        logger.info("Stopping: %d workers finish what they run", len(workers))
        self._health.say_stopping()
        self._board.say_stopping()
        self._stop_at = now + self.plan.shutdown_timeout
        for pid, _ in workers:
            ask_to_end(pid)

    def _see_workers_off(self, now: float) -> None:
        if not self._exit_code:
            # It gives back what the dead ones held.
            self._keep_housekeeper()
        if now < self._stop_at:
            return
        for pid, child in self._children.of("worker"):
            running = [mark for mark in child.marks if mark.phase is Phase.RUNNING]
            for mark in running if pid not in self._causes else ():
                text = "%s is stopped; %s [%s] goes back to the queue"
                logger.warning(text, child.name, mark.name, mark.task_id)
            self._kill(pid, Cause.SHUTDOWN)
        self._stop_at = now + _KILL_TIME

    def _dismiss_housekeeper(self, now: float) -> bool:
        if not self._board.is_over:
            self._board.say_over()
            self._children.call_housekeeper()
        keepers = self._children.of("housekeeper")
        is_late = now >= self._stop_at + _KILL_TIME
        for pid, child in keepers:
            if is_late:
                kill_group(pid)
            elif not child.is_ready:
                ask_to_end(pid)
        return not keepers


def _is_late(marks: Sequence[Mark], now: float) -> bool:
    return any(0 < mark.until <= now for mark in marks)


def _is_waiting(marks: Sequence[Mark]) -> bool:
    """No user code runs, so a thread that holds the interpreter is no excuse for silence."""
    return all(mark.phase in (Phase.CHECKING, Phase.SETTLING) for mark in marks)


def _is_silent(slot: Slot, now: float) -> bool:
    return 0 < slot.beat < now - _LONGEST_SILENCE
