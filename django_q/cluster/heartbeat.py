"""The heartbeat: what the housekeeper tells the world about its cluster every `guard_cycle`."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.utils import timezone

from django_q import __version__
from django_q.brokers import Broker
from django_q.cluster.child import Boot
from django_q.cluster.scoreboard import Mark, Slot, State
from django_q.conf import Conf
from django_q.exceptions import BrokerError
from django_q.status import Stat

#: How a worker's state reads in a heartbeat.
_NAMES = {State.BOOTING: "booting", State.IDLE: "idle", State.BUSY: "busy"}


class Heartbeat:
    """Makes and saves the Stat of a cluster from its scoreboard."""

    def __init__(self, boot: Boot, broker: Broker, slots: Sequence[Slot]) -> None:
        self._boot = boot
        self._broker = broker
        self._slots = slots
        self._seen: set[int] = set()

    def beat(self) -> None:
        """Save a heartbeat. Raises BrokerUnavailable."""
        self._make(self._status()).save(self._broker)

    def end(self) -> None:
        """Say that the cluster has stopped, as far as the broker can be reached."""
        try:
            self._make(str(Conf.STOPPED)).save(self._broker)
        except BrokerError:
            return  # nobody can be told; the last heartbeat runs out by itself

    def _make(self, status: str) -> Stat:
        alive = [slot for slot in self._slots if slot.get("state") != State.FREE]
        alive = [slot for slot in alive if slot.obituary is None and slot.get("pid")]
        boot = self._boot
        return Stat(
            cluster_id=boot.cluster_id,
            pid=boot.supervisor,
            name=boot.cluster_name,
            queue=self._broker.list_key,
            broker=self._broker.info(),
            version=__version__,
            tob=datetime.fromtimestamp(boot.began, UTC),
            reincarnations=self._count_replaced(alive),
            sentinel=boot.supervisor,
            housekeeper=boot.board.slot(boot.slot).get("pid"),
            status=status,
            task_q_size=self._broker.queue_size(),
            done_q_size=0,
            workers=[slot.get("pid") for slot in alive],
            worker_states=[_describe(slot) for slot in alive],
            timestamp=timezone.now(),
        )

    def _status(self) -> str:
        if self._boot.board.is_stopping:
            return str(Conf.STOPPING)
        states = {slot.get("state") for slot in self._slots}
        if states <= {State.FREE, State.BOOTING}:
            return str(Conf.STARTING)
        return str(Conf.WORKING if State.BUSY in states else Conf.IDLE)

    def _count_replaced(self, alive: Sequence[Slot]) -> int:
        """Count the workers beyond those that are alive now."""
        self._seen |= {slot.get("pid") for slot in alive}
        return len(self._seen) - len(alive)


def _describe(slot: Slot) -> dict[str, Any]:
    mark: Mark | None = slot.mark.read()
    since = time.time() - (time.monotonic() - mark.since) if mark else None
    return {
        "pid": slot.get("pid"),
        "slot": slot.index,
        "state": _NAMES.get(State(slot.get("state")), "stopping"),
        "task_id": mark.task_id if mark else "",
        "task_name": mark.name if mark else "",
        "func": mark.func if mark else "",
        "since": since,
        "done": slot.get("done"),
        "rss": slot.get("rss"),
    }
