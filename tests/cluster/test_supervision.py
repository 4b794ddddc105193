"""What the supervisor makes of its children, seen without a whole cluster."""

import errno
import multiprocessing
import os
import time
from collections.abc import Iterator
from typing import NoReturn

import psutil
import pytest

from django_q.cluster import supervisor
from django_q.cluster.offspring import Child, Plan
from django_q.cluster.scoreboard import Cause, Mark, Phase, Slot, State
from django_q.cluster.supervisor import Supervisor
from tests.waiting import wait_until

#: How long a child may be silent here, and more than that: the clock begins where the machine does.
SILENCE = 20.0
AGES = 30.0


def _stay() -> None:
    os.setpgid(0, 0)
    time.sleep(600)


class Nursery:
    """A supervisor that is not running, with one worker that does nothing."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("fork")
        self.supervisor = Supervisor(Plan("id", "name", "default", 1, 1.0), context)
        self.slot: Slot = self.supervisor._slots[1]
        self._process = context.Process(target=_stay)
        self._process.start()
        child = Child(self._process, "worker", "worker-1", self.slot)
        self.supervisor._children._alive[self._process.pid or 0] = child
        self.slot.set("pid", self._process.pid or 0)
        self.slot.set("state", State.BUSY)
        self.slot.beat = time.monotonic()

    def mark(self, phase: Phase, until: float = 0.0) -> None:
        now = time.monotonic()
        self.slot.write_mark(Mark(phase, "receipt", "key", now - AGES, until, "id", "task"))

    def look(self) -> None:
        """Let the supervisor do what it does each time round."""
        self.supervisor._kill_stuck()
        self.supervisor._reap()

    def wait_cause(self) -> Cause:
        """Let it look until it has seen the worker's end; why it ended."""
        wait_until(lambda: self.look() or self.slot.obituary, what="the obituary")
        assert self.slot.obituary is not None
        return self.slot.obituary.cause

    def close(self) -> None:
        if self.supervisor._children.of("worker"):
            self._process.kill()
            self._process.join()


@pytest.fixture
def nursery(monkeypatch: pytest.MonkeyPatch) -> Iterator[Nursery]:
    monkeypatch.setattr(supervisor, "_LONGEST_SILENCE", SILENCE)
    made = Nursery()
    yield made
    made.close()


@pytest.mark.parametrize("phase", [None, Phase.CHECKING, Phase.SETTLING])
def test_a_worker_that_hangs_in_a_connection_is_replaced(
    nursery: Nursery, phase: Phase | None
) -> None:
    if phase is not None:
        nursery.mark(phase)
    nursery.slot.beat = time.monotonic() - AGES

    assert nursery.wait_cause() is Cause.SILENCE


@pytest.mark.parametrize("phase", [Phase.OPENING, Phase.RUNNING, Phase.AFTER])
def test_a_worker_whose_task_holds_the_interpreter_does_not_hang(
    nursery: Nursery, phase: Phase
) -> None:
    nursery.mark(phase)
    nursery.slot.beat = time.monotonic() - AGES

    nursery.look()

    assert not nursery.supervisor._causes
    assert nursery.slot.obituary is None


def test_a_worker_that_beats_does_not_hang(nursery: Nursery) -> None:
    nursery.look()

    assert not nursery.supervisor._causes


def test_a_worker_beyond_its_hard_limit_is_killed_for_that(nursery: Nursery) -> None:
    nursery.mark(Phase.RUNNING, until=time.monotonic() - 0.1)

    assert nursery.wait_cause() is Cause.HARD_LIMIT


def test_a_kill_that_meets_the_next_task_is_not_charged_to_it(nursery: Nursery) -> None:
    nursery.mark(Phase.RUNNING, until=time.monotonic() - 0.1)
    nursery.supervisor._kill_stuck()

    # What exceeded its limit ended at the very last moment.
    nursery.mark(Phase.RUNNING, until=time.monotonic() + AGES)

    assert nursery.wait_cause() is Cause.SHUTDOWN


def test_ended_processes_of_others_are_reaped_and_no_child_of_ours(nursery: Nursery) -> None:
    strangers = [os.fork() for _ in range(3)]
    if 0 in strangers:
        os._exit(0)

    def are_reaped() -> bool:
        nursery.supervisor._children.reap_strangers()
        return not any(map(psutil.pid_exists, strangers))

    wait_until(are_reaped)
    nursery._process.kill()
    assert nursery.wait_cause() is Cause.NONE


def test_a_start_that_the_system_refuses_leaves_no_file_open(
    nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> NoReturn:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    before = psutil.Process().num_fds()

    nursery.supervisor._children.start("worker", nursery.supervisor._slots[2])

    assert psutil.Process().num_fds() == before
    assert len(nursery.supervisor._children) == 1
