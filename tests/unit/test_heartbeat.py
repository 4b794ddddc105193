"""The heartbeat of a cluster: it rests a little while there is nothing new."""

import multiprocessing
import os
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import caches

from django_q.brokers.memory import Memory
from django_q.cluster import heartbeat
from django_q.cluster.child import Boot
from django_q.cluster.heartbeat import Heartbeat
from django_q.cluster.scoreboard import Scoreboard, State
from django_q.status import Stat


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def monotonic(self) -> float:
        return self.now

    time = staticmethod(time.time)


class Told(Memory):
    """A broker that counts heartbeats."""

    count = 0

    def set_stat(self, key: str, value: str, timeout: int) -> None:
        self.count += 1
        super().set_stat(key, value, timeout)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(heartbeat, "time", clock)
    return clock


@pytest.fixture
def board() -> Scoreboard:
    board = Scoreboard(multiprocessing.get_context("fork"), 3)
    for slot in board.slots()[1:]:
        slot.set("pid", os.getpid())
        slot.set("state", State.IDLE)
    return board


@pytest.fixture
def broker(q_cluster: Any) -> Iterator[Told]:
    q_cluster(broker_class="django_q.brokers.memory.Memory", guard_cycle=0.5)
    caches["default"].clear()
    yield Told()
    caches["default"].clear()


@pytest.fixture
def beating(board: Scoreboard, broker: Told, clock: Clock) -> Heartbeat:
    life, _ = multiprocessing.Pipe(duplex=False)
    boot = Boot(
        "housekeeper", "keeper", 0, str(uuid.uuid4()), "default", "default", time.time(),
        os.getpid(), board, life, life,
    )  # fmt: skip
    beating = Heartbeat(boot, broker, board.slots()[1:])
    beating.beat()
    return beating


def beats(beating: Heartbeat, broker: Told, clock: Clock, pauses: int) -> int:
    """How many of so many duties, half a second apart, said something."""
    before = broker.count
    for _ in range(pauses):
        clock.now += 0.5
        beating.beat()
    return broker.count - before


def test_an_idle_cluster_beats_once_a_second(
    beating: Heartbeat, broker: Told, clock: Clock
) -> None:
    assert beats(beating, broker, clock, 10) == 5


def test_a_busy_cluster_beats_every_cycle(
    beating: Heartbeat, board: Scoreboard, broker: Told, clock: Clock
) -> None:
    board.slots()[1].set("state", State.BUSY)

    assert beats(beating, broker, clock, 10) == 10


def test_what_changes_in_an_idle_cluster_is_told_at_once(
    beating: Heartbeat, board: Scoreboard, broker: Told, clock: Clock
) -> None:
    board.slots()[1].set("done", 7)

    assert beats(beating, broker, clock, 1) == 1
    [stat] = Stat.get_all(broker)
    assert stat.worker_states[0]["done"] == 7


def test_a_heartbeat_that_could_not_be_saved_is_tried_again(
    beating: Heartbeat, board: Scoreboard, broker: Told, clock: Clock, monkeypatch: Any
) -> None:
    board.slots()[1].set("done", 7)
    with monkeypatch.context() as patched, pytest.raises(OSError):
        patched.setattr(broker, "set_stat", lambda *words: (_ for _ in ()).throw(OSError()))
        beats(beating, broker, clock, 1)

    assert beats(beating, broker, clock, 1) == 1
