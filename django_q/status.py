"""The heartbeat: what a cluster says about itself, `Stat`, and one that says nothing, `Status`.

The housekeeper saves a Stat through its broker every `guard_cycle`; web pages, commands and health
checks read them. A heartbeat that cannot be unsealed is as if it were not there.
"""

import math
import socket
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict, Unpack

from django.utils import timezone

from django_q import __version__, signing
from django_q.brokers import Broker, shared_broker
from django_q.conf import Conf
from django_q.exceptions import PackageRejected
from django_q.humanhash import humanize
from django_q.results.statements import storable

__all__ = ["RunningTask", "Stat", "Status", "WorkerState"]

#: A cluster counts as gone when it has missed two heartbeats.
BEATS = 3
#: Seconds a heartbeat is kept at least: what Django Q does, and a pause that a busy machine makes.
SHORTEST_LIFE = 3
#: The states of a cluster, by the names of their texts in `Conf`. The names are what is sent: the
#: texts are in the language of whoever reads.
_STATES = ("STARTING", "WORKING", "IDLE", "STOPPING", "STOPPED")


class RunningTask(TypedDict):
    """A task that a worker runs now."""

    task_id: str
    name: str
    func: str
    #: Unix time at which it began.
    since: float


class WorkerState(TypedDict, total=False):
    """What one worker does."""

    pid: int
    slot: int
    #: "booting", "idle", "busy" or "stopping".
    state: str
    #: Tasks it is at; more than one where it has threads or a loop.
    running: int
    #: Of the task that runs, or of the oldest; None when there is none.
    task_id: str | None
    task_name: str | None
    func: str | None
    #: Unix time at which the task began; None when there is none.
    since: float | None
    #: Those that run longest, the one above first.
    tasks: list[RunningTask]
    #: Tasks it has ended.
    done: int
    #: Its memory in bytes; 0 where that is not known.
    rss: int


class StatValues(TypedDict, total=False):
    """What a Stat is made of beside cluster id and process id; see `Status`."""

    name: str
    host: str
    tob: datetime
    reincarnations: int
    sentinel: int
    housekeeper: int
    monitor: int
    pusher: int
    status: Any
    task_q_size: int
    done_q_size: int
    queue: str
    queues: list[str]
    broker: str
    version: str
    workers: list[int]
    worker_states: list[WorkerState]
    timestamp: datetime


class Status:
    """A cluster, as far as it is known; made directly, one that has stopped or never was."""

    def __init__(self, pid: int | None = None, cluster_id: Any = None) -> None:
        #: Process id of the supervisor, and the host it runs on.
        self.pid = pid
        self.host: str = socket.gethostname()
        #: UUID of this run of `qcluster`, and four words for it.
        self.cluster_id = cluster_id
        self.name = _words(cluster_id)
        #: Time of birth; None of a cluster that is not there.
        self.tob: datetime | None = None
        #: Workers that took the place of others, since the start.
        self.reincarnations = 0
        #: Process ids. `monitor` and `pusher` are Django Q's: there are no such processes any more.
        self.sentinel = 0
        self.housekeeper = 0
        self.monitor = 0
        self.pusher = 0
        #: One of Conf.STARTING, WORKING, IDLE, STOPPING, STOPPED.
        self.status: Any = Conf.STOPPED
        #: Packages that workers hold without having started them; outcomes not settled yet.
        self.task_q_size = 0
        self.done_q_size = 0
        #: Name of the queue, server and version of its broker, version of django_q.
        self.queue = ""
        #: The queues it serves; one that is told by an older version has none here: see `served`.
        self.queues: list[str] = []
        self.broker = ""
        self.version = ""
        #: The workers: their process ids, and what each does.
        self.workers: list[int] = []
        self.worker_states: list[WorkerState] = []
        #: When this was said.
        self.timestamp: datetime = timezone.now()


class Stat(Status):
    """A heartbeat: a plain value, made by the housekeeper."""

    def __init__(self, cluster_id: Any, pid: int, **values: Unpack[StatValues]) -> None:
        super().__init__(pid, cluster_id)
        self.version = __version__
        unknown = set(values) - set(vars(self))
        if unknown:
            raise TypeError(f"Stat has no {', '.join(sorted(unknown))}.")
        vars(self).update(values)
        self.workers = self.workers or [state["pid"] for state in self.worker_states]

    @property
    def served(self) -> list[str]:
        """The queues whose packages it runs."""
        return self.queues or [self.queue]

    def uptime(self) -> float:
        """Seconds since the cluster was born."""
        return 0.0 if self.tob is None else (timezone.now() - self.tob).total_seconds()

    def empty_queues(self) -> bool:
        """Tell whether no package waits in a worker and no outcome to be settled."""
        return self.done_q_size + self.task_q_size == 0

    @property
    def key(self) -> str:
        """Where the heartbeat is kept."""
        return self.get_key(self.cluster_id)

    @staticmethod
    def get_key(cluster_id: Any) -> str:
        """Give the key of a cluster's heartbeat."""
        return f"{Conf.Q_STAT}:{cluster_id}"

    def save(self, broker: Broker | None = None) -> None:
        """Keep the heartbeat until three are due. Raises BrokerUnavailable."""
        life = max(SHORTEST_LIFE, math.ceil(BEATS * Conf.GUARD_CYCLE))
        # JSON whatever packages are: the admin reads it for a list, which opens no pickle.
        text = signing.seal(_as_values(self), "stat", "", serializer="json")
        (broker or shared_broker()).set_stat(self.key, text, life)

    @staticmethod
    def get(pid: Any, cluster_id: Any = None, broker: Broker | None = None) -> Status:
        """Give the heartbeat of a cluster; a Status, stopped, if there is none.

        `Stat.get(cluster_id)` does too: what the process id is for is the Status.
        """
        if cluster_id is None:
            pid, cluster_id = 0, pid
        found = _unsealed((broker or shared_broker()).get_stat(Stat.get_key(cluster_id)))
        return Status(pid, cluster_id) if found is None else found

    @staticmethod
    def get_all(broker: Broker | None = None) -> list["Stat"]:
        """Give the heartbeats of all clusters of this project, of every queue, oldest first."""
        texts = (broker or shared_broker()).get_stats(f"{Conf.Q_STAT}:*")
        found = [stat for stat in map(_unsealed, texts or []) if stat is not None]
        return sorted(found, key=lambda stat: (stat.queue, str(stat.tob), str(stat.cluster_id)))


def _words(cluster_id: Any) -> str:
    try:
        return humanize(uuid.UUID(str(cluster_id)).hex)
    except ValueError:
        return str(cluster_id or "")


def _as_values(stat: Stat) -> dict[str, Any]:
    return vars(stat) | {"status": _name_of(stat.status)}


def _name_of(status: Any) -> str:
    texts = {name: getattr(Conf, name) for name in _STATES}
    # To compare such texts is to translate both: mostly it is one of them itself.
    same = (name for name, text in texts.items() if text is status)
    equal = (name for name, text in texts.items() if text == status)
    return next(same, None) or next(equal, str(status))


def _unsealed(text: Any) -> Stat | None:
    try:
        values = signing.unseal(text, "stat", "")
        return _from_values(values)
    except (signing.BadSignature, PackageRejected, TypeError, KeyError, AttributeError):
        return None


def _from_values(values: Mapping[str, Any]) -> Stat:
    stat = Stat(values["cluster_id"], values["pid"])
    # Another version may know of more, or of less.
    vars(stat).update({name: value for name, value in values.items() if name in vars(stat)})
    # The cluster's birth travels in UTC, and the project may have no time zones.
    stat.tob = stat.tob and storable(stat.tob)
    if stat.status in _STATES:
        stat.status = getattr(Conf, stat.status)
    return stat
