"""The supervisor: watches, never works. Standard library only: no database, no broker, no thread.

It keeps the wanted number of workers and one housekeeper alive, kills what exceeds its hard limit,
writes how each child ended into the child's slot, and stops everything within a bounded time.
"""

import contextlib
import logging
import multiprocessing.context
import multiprocessing.process
import os
import signal
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from django_q.cluster.child import EXIT_BOOT_FAILED, Boot, run_child
from django_q.cluster.scoreboard import Cause, Mark, Obituary, Scoreboard, Slot, State
from django_q.cluster.wakeup import Wakeup

logger = logging.getLogger("django-q")

#: Longest time the loop sleeps; deaths and signals wake it at once.
_LONGEST_SLEEP = 0.5
#: First and longest pause before a child that died at boot is started again.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 10.0
#: Time the housekeeper has for its last duties when the cluster stops.
_LAST_DUTIES = 3.0
#: Time between a kill and what the system needs to carry it out.
_KILL_TIME = 1.0


class Plan(NamedTuple):
    """What the supervisor is to keep up. Plain values of the settings."""

    cluster_id: str
    cluster_name: str
    workers: int
    shutdown_timeout: float
    #: Stop once the queue is empty.
    run_once: bool = False


class _Child(NamedTuple):
    process: multiprocessing.process.BaseProcess
    role: str
    name: str
    slot: Slot


class Supervisor:
    """Keeps the children of one cluster. `run` returns when all of them are gone."""

    def __init__(self, plan: Plan, context: multiprocessing.context.BaseContext) -> None:
        self.plan = plan
        self.reincarnations = 0
        self._context = context
        # Slot 0 is the housekeeper's. A dead worker's slot is taken until it is buried, so there
        # are spare ones for those who take its place meanwhile.
        self._board = Scoreboard(context, 2 * plan.workers + 3)
        self._slots = self._board.slots()
        self._life, self._keep_alive = context.Pipe(duplex=False)
        self._children: dict[int, _Child] = {}
        self._causes: dict[int, Cause] = {}
        self._began = time.time()
        self._stops = 0
        self._stop_at = 0.0
        self._is_announced = self._is_draining = False
        self._boot_failures = 0
        self._start_after = 0.0
        self._exit_code = 0
        self._count = 0

    # -- the loop -----------------------------------------------------------------------------

    def run(self) -> int:
        """Run the cluster until it was stopped; gives the exit code."""
        with Wakeup(self.stop) as wakeup:
            while True:
                self._bury()
                self._reap()
                if self._stops:
                    if self._stop():
                        return self._exit_code
                else:
                    self._respawn()
                    self._say_running()
                self._kill_overdue()
                self._sleep(wakeup)

    def stop(self) -> None:
        """Begin to stop; a second call stops at once. Safe in a signal handler."""
        self._stops += 1

    def _sleep(self, wakeup: Wakeup) -> None:
        now = time.monotonic()
        limits = [mark.until for _, mark in self._marks() if mark.until]
        if self._stops:
            limits.append(self._stop_at)
        elif self._start_after > now:
            limits.append(self._start_after)
        elif not self._is_announced:
            limits.append(now + 0.02)
        pause = min([_LONGEST_SLEEP, *(max(0.005, limit - now) for limit in limits)])
        if any(child.slot.get("obituary_pid") for child in self._children.values()):
            pause = min(pause, 0.05)
        wakeup.wait(pause, [child.process.sentinel for child in self._children.values()])

    # -- deaths -------------------------------------------------------------------------------

    def _reap(self) -> None:
        for pid, child in list(self._children.items()):
            status = child.process.exitcode
            if status is not None:
                child.process.join()
                child.process.close()
                del self._children[pid]
                self._note_end(pid, child, status)

    def _note_end(self, pid: int, child: _Child, status: int) -> None:
        obituary = Obituary(pid, status, self._causes.pop(pid, Cause.NONE))
        was_ready = child.slot.get("state") not in (State.FREE, State.BOOTING)
        has_left = child.slot.get("state") == State.LEFT
        if status == EXIT_BOOT_FAILED and not was_ready:
            logger.critical("%s could not start, so the cluster stops", child.name)
            self._exit_code = 1
            self.stop()
        elif not was_ready and not self._stops:
            self._boot_failures += 1
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(self._boot_failures, 10))
            self._start_after = time.monotonic() + pause
            text = "%s died while it started (%s); the next try is in %.1f s"
            logger.error(text, child.name, obituary.how, pause)
        if child.role == "housekeeper" or has_left or not was_ready:
            child.slot.clear()
        else:
            child.slot.write_obituary(obituary)
        if was_ready and not self._stops:
            self._say_end(child, obituary)

    def _say_end(self, child: _Child, obituary: Obituary) -> None:
        self._boot_failures = 0
        self.reincarnations += 1
        if obituary.status == 0 and child.slot.get("state") in (State.FREE, State.LEFT):
            logger.info("%s [%d] left and is replaced", child.name, obituary.pid)
            return
        mark = child.slot.read_mark()
        what = f", running {mark.name} [{mark.task_id}]" if mark and mark.task_id else ""
        text = "%s [%d] died (%s)%s and is replaced"
        logger.error(text, child.name, obituary.pid, obituary.how, what)

    def _bury(self) -> None:
        for slot in self._slots:
            if slot.is_buried:
                slot.clear()

    def _marks(self) -> Iterator[tuple[int, Mark]]:
        for pid, child in self._children.items():
            if child.role == "worker" and (mark := child.slot.read_mark()) is not None:
                yield pid, mark

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        for pid, mark in self._marks():
            if mark.until and now >= mark.until and pid not in self._causes:
                self._kill(pid, Cause.HARD_LIMIT)

    def _kill(self, pid: int, cause: Cause) -> None:
        """Kill a child with all that its task has started."""
        self._causes.setdefault(pid, cause)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    # -- births -------------------------------------------------------------------------------

    def _respawn(self) -> None:
        if time.monotonic() < self._start_after:
            return
        roles = [child.role for child in self._children.values()]
        if "housekeeper" not in roles:
            self._start("housekeeper", "housekeeper", self._slots[0])
        for _ in range(self.plan.workers - roles.count("worker")):
            slot = self._free_slot()
            if slot is None:
                return  # the housekeeper has not come to the dead ones yet
            self._count += 1
            self._start("worker", f"worker-{self._count}", slot)

    def _say_running(self) -> None:
        """Say once that all children are up; their slots tell."""
        states = [child.slot.get("state") for child in self._children.values()]
        is_up = all(state not in (State.FREE, State.BOOTING) for state in states)
        if self._is_announced or not is_up or len(states) <= self.plan.workers:
            return
        self._is_announced = True
        logger.info("Q Cluster %s running", self.plan.cluster_name)

    def _free_slot(self) -> Slot | None:
        taken = {child.slot.index for child in self._children.values()}
        for slot in self._slots[1:]:
            if slot.index not in taken and not slot.get("obituary_pid"):
                return slot
        return None

    def _start(self, role: str, name: str, slot: Slot) -> None:
        boot = Boot(
            role, name, slot.index, self.plan.cluster_id, self.plan.cluster_name,
            self._began, os.getpid(), self._board, self._life, self.plan.run_once,
        )  # fmt: skip
        keep_alive = self._keep_alive if self._context.get_start_method() == "fork" else None
        maker: Any = self._context
        process = maker.Process(target=run_child, args=(boot, keep_alive), name=name)
        slot.clear()
        # A signal that comes between the fork and the child's own handlers is kept for then.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        try:
            process.start()
        except OSError as error:
            self._boot_failures += 1
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(self._boot_failures, 10))
            self._start_after = time.monotonic() + pause
            logger.error("%s cannot be started: %s; next try in %.1f s", name, error, pause)
            return
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
        self._children[process.pid] = _Child(process, role, name, slot)

    # -- the end ------------------------------------------------------------------------------

    def _stop(self) -> bool:
        """Go on stopping; True when everything is gone."""
        now = time.monotonic()
        workers = [pid for pid, child in self._children.items() if child.role == "worker"]
        keepers = [pid for pid, child in self._children.items() if child.role != "worker"]
        if not self._stop_at:
            self._begin_to_stop(workers, now)
        if self._stops > 1:
            self._stop_at = min(self._stop_at, now) if workers else self._stop_at
        if workers:
            if now >= self._stop_at:
                for pid in workers:
                    self._kill(pid, Cause.SHUTDOWN)
                self._stop_at = now + _KILL_TIME
            return False
        if not self._is_draining:
            self._is_draining = True
            self._stop_at = now + _LAST_DUTIES
        unburied = any(slot.get("obituary_pid") for slot in self._slots)
        if keepers and unburied and now < self._stop_at:
            return False
        return self._stop_keepers(keepers, now)

    def _begin_to_stop(self, workers: list[int], now: float) -> None:
        logger.info("Stopping: %d workers finish what they run", len(workers))
        self._board.say_stopping()
        self._stop_at = now + self.plan.shutdown_timeout
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def _stop_keepers(self, keepers: list[int], now: float) -> bool:
        for pid in keepers:
            is_late = now >= self._stop_at + _KILL_TIME
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if is_late else signal.SIGTERM)
        return not keepers
