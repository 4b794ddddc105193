"""What `qmonitor` watches: clusters at every look, and what is dear to ask more seldom.

A `Watch` is kept by the command and asked again and again; it remembers what it saw, to tell how
many tasks a second are done.
"""

import dataclasses
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Generic, TypeVar

from django.db import Error as DatabaseError
from django.db import close_old_connections
from django.utils import timezone

from django_q.brokers import Broker, shared_broker
from django_q.conf import Conf
from django_q.exceptions import BrokerError, BrokerUnavailable
from django_q.monitor.overview import Queue, Schedules, Tasks, queues, schedules, tasks
from django_q.status import Stat

#: Rates that are remembered: as many as a wide screen can draw.
_REMEMBERED = 200
#: Heartbeats over which a rate is taken: some three seconds.
_BEATS = 7
#: Seconds between two looks at queues, and at results and schedules. Metered: a paid request each.
_QUEUES_PERIOD = 1.0
_METERED_PERIOD = 30.0
_TABLES_PERIOD = 5.0
#: What takes long is asked so seldom that it costs at most a twentieth of the time.
_REST = 20

_Given = TypeVar("_Given")


@dataclasses.dataclass(frozen=True)
class Sight:
    """What was seen at one look."""

    moment: datetime
    project: str
    broker: str
    clusters: Sequence[Stat] = ()
    queues: Sequence[Queue] = ()
    tasks: Tasks | None = None
    schedules: Schedules | None = None
    #: Tasks a second of each cluster, by its id; None until it was seen twice.
    rates: Mapping[str, float | None] = dataclasses.field(default_factory=dict)
    #: Tasks a second of all clusters together, oldest first.
    history: Sequence[float] = ()
    #: Why nothing, or not all, could be seen.
    problem: str = ""


class Watch:
    """Looks at the clusters of a project."""

    def __init__(self, broker: Broker | None = None) -> None:
        self._broker = broker or shared_broker()
        period = _METERED_PERIOD if self._broker.is_metered else _QUEUES_PERIOD
        self._clusters: Sequence[Stat] = ()
        self._queues = _Seldom(lambda: queues(self._broker, self._clusters), period)
        self._tasks = _Seldom(lambda: tasks(timezone.now()), _TABLES_PERIOD)
        self._schedules = _Seldom(lambda: schedules(timezone.now()), _TABLES_PERIOD)
        self._meter = Meter()
        self._name = ""

    def look(self) -> Sight:
        """Give what there is to see; what is out of reach is told in `problem`."""
        close_old_connections()
        sight = Sight(timezone.now(), Conf.PREFIX, self._name)
        try:
            self._name = self._name or self._broker_name()
            self._clusters = Stat.get_all(self._broker)
            rates = self._meter.read(self._clusters)
            history = tuple(self._meter.history)
            sight = dataclasses.replace(
                sight, broker=self._name, clusters=self._clusters, rates=rates, history=history
            )
            sight = dataclasses.replace(sight, queues=self._queues.value())
            return dataclasses.replace(
                sight, tasks=self._tasks.value(), schedules=self._schedules.value()
            )
        except (BrokerError, DatabaseError) as error:
            return dataclasses.replace(sight, problem=str(error).strip() or type(error).__name__)

    def _broker_name(self) -> str:
        if not self._broker.ping():
            raise BrokerUnavailable(f"The broker does not answer: {self._broker.info()}.")
        return self._broker.info()


@dataclasses.dataclass
class _Counted:
    """What one cluster has done since it was first seen."""

    #: Done by each worker at the last heartbeat, by process id.
    workers: Mapping[int, int]
    #: Time of a heartbeat, and all that was done until then.
    beats: deque[tuple[datetime, int]]

    def rate(self) -> float | None:
        """Give tasks a second over the last beats; None after a single one."""
        (first, before), (last, now) = self.beats[0], self.beats[-1]
        passed = (last - first).total_seconds()
        return (now - before) / passed if passed > 0 else None


class Meter:
    """Tells tasks a second from the counters of the workers in the last heartbeats."""

    def __init__(self) -> None:
        #: Rates of all clusters together, one for each time that a heartbeat was new.
        self.history: deque[float] = deque(maxlen=_REMEMBERED)
        self._counted: dict[str, _Counted] = {}

    def read(self, clusters: Sequence[Stat]) -> dict[str, float | None]:
        """Take the heartbeats; give tasks a second by cluster id."""
        before, self._counted = self._counted, {}
        is_new = False
        for stat in clusters:
            counted = before.get(str(stat.cluster_id))
            if counted is None or counted.beats[-1][0] < stat.timestamp:
                counted = _count(stat, counted)
                is_new = True
            self._counted[str(stat.cluster_id)] = counted
        rates = {cluster: counted.rate() for cluster, counted in self._counted.items()}
        known = [rate for rate in rates.values() if rate is not None]
        if is_new and known:
            self.history.append(sum(known))
        return rates


def _count(stat: Stat, before: _Counted | None) -> _Counted:
    """Add what was done since the last heartbeat; a new worker began with nothing."""
    workers = {worker["pid"]: worker.get("done", 0) for worker in stat.worker_states}
    if before is None:
        return _Counted(workers, deque([(stat.timestamp, 0)], maxlen=_BEATS))
    news = sum(max(0, done - before.workers.get(pid, 0)) for pid, done in workers.items())
    before.beats.append((stat.timestamp, before.beats[-1][1] + news))
    return _Counted(workers, before.beats)


class _Seldom(Generic[_Given]):
    """A figure that is asked again only after a while, the longer the dearer it is."""

    def __init__(self, ask: Callable[[], _Given], period: float) -> None:
        self._ask = ask
        self._period = period
        self._again = 0.0
        self._value: list[_Given] = []

    def value(self) -> _Given:
        began = time.monotonic()
        if began >= self._again or not self._value:
            self._value = [self._ask()]
            took = time.monotonic() - began
            self._again = began + took + max(self._period, _REST * took)
        return self._value[0]
