"""The heartbeat: what the housekeeper tells the world about its cluster.

Every `guard_cycle`; every second at least while the cluster is idle and nothing changes.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django_q.brokers import Broker
from django_q.cluster.child import Boot
from django_q.cluster.scoreboard import Slot, State
from django_q.conf import Conf
from django_q.exceptions import BrokerError
from django_q.status import BEATS, SHORTEST_LIFE, RunningTask, Stat, WorkerState

#: Time between two counts of the queue where each is a paid request.
_METERED_PERIOD = 30.0
#: Tasks of one worker that are told by name, those that run longest: a worker may have a thousand.
_MOST_TASKS = 20
#: Time between two heartbeats of an idle cluster of which nothing else is to be told: as any other,
#: it may miss two of them before it counts as gone.
_REST = SHORTEST_LIFE / BEATS
#: Fields of a slot that make a heartbeat another one.
_NEWS = ("state", "pid", "done", "obituary_pid")
#: How a worker's state reads in a heartbeat.
_NAMES = {State.BOOTING: "booting", State.IDLE: "idle", State.BUSY: "busy"}


class Heartbeat:
    """Makes and saves the Stat of a cluster from its scoreboard."""

    def __init__(self, boot: Boot, broker: Broker, slots: Sequence[Slot]) -> None:
        self._boot = boot
        self._broker = broker
        self._slots = slots
        self._seen: set[int] = set()
        self._replaced = 0
        self._size = 0
        self._count_again = 0.0
        self._said: tuple[Any, ...] = ()
        self._said_at = 0.0

    def beat(self) -> None:
        """Save a heartbeat, unless it would say the same too soon. Raises BrokerUnavailable."""
        status, now = self._status(), time.monotonic()
        news = (status, *(tuple(map(slot.get, _NEWS)) for slot in self._slots))
        # Half a cycle, so that a beat that comes a little early is not left for the next one.
        rest = _REST - Conf.GUARD_CYCLE / 2 if status is Conf.IDLE else 0.0
        if news == self._said and now - self._said_at < rest:
            return
        self._make(status).save(self._broker)
        self._said, self._said_at = news, now

    def end(self) -> None:
        """Say that the cluster has stopped, as far as the broker can be reached."""
        try:
            self._make(Conf.STOPPED).save(self._broker)
        except BrokerError:
            return  # nobody can be told; the last heartbeat runs out by itself

    def _make(self, status: Any) -> Stat:
        alive = [slot for slot in self._slots if slot.get("state") != State.FREE]
        alive = [slot for slot in alive if slot.obituary is None and slot.get("pid")]
        boot = self._boot
        return Stat(
            boot.cluster_id,
            boot.supervisor,
            queue=self._broker.list_key,
            queues=list(self._broker.queue_names),
            broker=self._broker.info(),
            tob=datetime.fromtimestamp(boot.began, UTC),
            reincarnations=self._count_replaced(alive),
            sentinel=boot.supervisor,
            housekeeper=boot.board.slot(boot.slot).get("pid"),
            status=status,
            task_q_size=self._queue_size(),
            worker_states=[_describe(slot) for slot in alive],
        )

    def _queue_size(self) -> int:
        """Count what waits; seldom where that is paid for, or takes its time on a long queue."""
        began = time.monotonic()
        if began >= self._count_again:
            # Plain: it is pickled, and read by other versions.
            self._size = int(self._broker.queue_size())
            took = time.monotonic() - began
            pause = _METERED_PERIOD if self._broker.is_metered else 50 * took
            self._count_again = began + pause
        return self._size

    def _status(self) -> Any:
        if self._boot.board.is_stopping:
            return Conf.STOPPING
        states = {slot.get("state") for slot in self._slots}
        if states <= {State.FREE, State.BOOTING}:
            return Conf.STARTING
        return Conf.WORKING if State.BUSY in states else Conf.IDLE

    def _count_replaced(self, alive: Sequence[Slot]) -> int:
        """Count the workers beyond those that are alive now."""
        # Those that leave at a stop have no successors.
        if not self._boot.board.is_stopping:
            self._seen |= {slot.get("pid") for slot in alive}
            self._replaced = len(self._seen) - len(alive)
        return self._replaced


def _describe(slot: Slot) -> WorkerState:
    marks = sorted(slot.read_marks(), key=lambda mark: mark.since)
    mark = next(iter(marks), None)
    state: WorkerState = {
        "pid": slot.get("pid"),
        "slot": slot.index,
        "state": _NAMES.get(State(slot.get("state")), "stopping"),
        "task_id": mark.task_id if mark else None,
        "task_name": mark.name if mark else None,
        "func": mark.func if mark else None,
        "running": len(marks),
        "done": slot.get("done"),
        "rss": slot.get("rss") * 1024,
    }
    if mark is not None:
        state["since"] = _wall(mark.since)
    state["tasks"] = [
        RunningTask(task_id=mark.task_id, name=mark.name, func=mark.func, since=_wall(mark.since))
        for mark in marks[:_MOST_TASKS]
        if mark.task_id
    ]
    return state


def _wall(moment: float) -> float:
    """Give a moment of the monotonic clock as Unix time."""
    return time.time() - (time.monotonic() - moment)
