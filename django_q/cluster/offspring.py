"""The supervisor's children: how they begin, are counted, and are killed. Standard library only."""

import contextlib
import logging
import multiprocessing.context
import multiprocessing.process
import multiprocessing.resource_tracker
import os
import signal
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from django_q.cluster.backoff import Backoff
from django_q.cluster.child import Boot, run_child
from django_q.cluster.scoreboard import Mark, Scoreboard, Slot, State
from django_q.cluster.system import (
    block_signals,
    kill_group,
    leaving_nothing_open,
    unblock_signals,
)

logger = logging.getLogger("django-q")

#: What is told of a child's end when its fork server is gone, which alone knew (multiprocessing).
_UNKNOWN_STATUS = 255


class Plan(NamedTuple):
    """What the supervisor is to keep up. Plain values of the settings."""

    cluster_id: str
    cluster_name: str
    queue: str
    workers: int
    shutdown_timeout: float
    #: Stop once the queue is empty.
    run_once: bool = False
    #: How many tasks each worker may have side by side.
    places: int = 1
    #: Touched while every part makes progress.
    health_file: str | None = None


class Child(NamedTuple):
    """A process of the cluster that was started and has not been seen to end."""

    process: multiprocessing.process.BaseProcess
    role: str
    name: str
    slot: Slot

    @property
    def is_ready(self) -> bool:
        """It has begun its work; what the slot says, so it is true after the end too."""
        return self.slot.get("state") not in (State.FREE, State.BOOTING)

    @property
    def marks(self) -> list[Mark]:
        """What it is at; nothing while it waits for work."""
        return self.slot.read_marks()


class Offspring:
    """The children that are alive. Used by the supervisor's loop."""

    def __init__(
        self, plan: Plan, context: multiprocessing.context.BaseContext, board: Scoreboard
    ) -> None:
        self._plan = plan
        self._context = context
        self._board = board
        self._method = context.get_start_method()
        self._life, self._keep_alive = context.Pipe(duplex=False)
        self._bell, self._bell_pull = context.Pipe(duplex=False)
        self._alive: dict[int, Child] = {}
        self._began = time.time()
        self._count = 0
        #: Pause after a child that died before it was ready, or could not be started.
        self.births = Backoff()

    def __len__(self) -> int:
        return len(self._alive)

    def all(self) -> list[tuple[int, Child]]:
        """Give all of them with their pids, oldest first."""
        return list(self._alive.items())

    def of(self, role: str) -> list[tuple[int, Child]]:
        """Give those of one role with their pids, oldest first."""
        return [(pid, child) for pid, child in self._alive.items() if child.role == role]

    def sentinels(self) -> list[int]:
        """Give what becomes readable when one of them ends."""
        return [child.process.sentinel for child in self._alive.values()]

    def start(self, role: str, slot: Slot) -> None:
        """Start one in a free slot. What the system refuses is tried again after a pause."""
        if role == "worker":
            self._count += 1
        name = f"worker-{self._count}" if role == "worker" else role
        plan = self._plan
        boot = Boot(
            role, name, slot.index, plan.cluster_id, plan.cluster_name, plan.queue,
            self._began, os.getpid(), self._board, self._life, self._bell,
            plan.run_once,
        )  # fmt: skip
        slot.clear()
        try:
            process = self._start(boot)
        except OSError as error:
            pause = self.births.fail()
            logger.error("%s cannot be started: %s; next try in %.1f s", name, error, pause)
            return
        self._alive[process.pid or 0] = Child(process, role, name, slot)

    def call_housekeeper(self) -> None:
        """Let it look at the scoreboard now. Never waits: thousands of calls fit into the pipe."""
        self._bell_pull.send_bytes(b"")

    def _start(self, boot: Boot) -> multiprocessing.process.BaseProcess:
        keep_alive = self._keep_alive if self._method == "fork" else None
        if self._method != "fork":
            # Started later, it would end the block below: it unblocks the same signals.
            multiprocessing.resource_tracker.ensure_running()
        maker: Any = self._context
        made: multiprocessing.process.BaseProcess = maker.Process(
            target=run_child, args=(boot, keep_alive), name=boot.name
        )
        # A signal that comes between the fork and the child's own handlers is kept for then; and
        # a fork server, which stands in our process group, is deaf to what is meant for us.
        block_signals({signal.SIGTERM, signal.SIGINT})
        try:
            # A fork server is to stay.
            with leaving_nothing_open() if self._method == "fork" else contextlib.nullcontext():
                made.start()
        finally:
            unblock_signals({signal.SIGTERM, signal.SIGINT})
        return made

    def reap_strangers(self) -> None:
        """Take leave of ended processes that are none of these.

        The first process of a container is given all that tasks have started and left behind.
        """
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None or found.si_pid in self._alive:
                return
            os.waitpid(found.si_pid, os.WNOHANG)

    def ended(self) -> Iterator[tuple[int, Child, int]]:
        """Give those that have ended, with pid and exit status, each once."""
        if os.getpid() == 1 and self._method == "fork":
            self.reap_strangers()
        for pid, child in self.all():
            status = child.process.exitcode
            if status is None:
                continue
            if status == _UNKNOWN_STATUS and self._method == "forkserver":
                # It may live yet, where nobody would see its end.
                kill_group(pid)
            child.process.join()
            child.process.close()
            del self._alive[pid]
            yield pid, child, status
