"""The jobs and queues of one Disque node, and its rules of time. No sockets here.

Times are whole milliseconds since the epoch, as in Disque; RETRY, DELAY and TTL whole seconds. The
rules are those of Disque 1.0-rc1 as its documentation and its source tell them and as
`disque-replies.txt` shows them. The one that surprises: GETJOB does not begin the RETRY time, which
runs since the job was queued; only WORKING begins it anew.
"""

import bisect
import collections
import dataclasses
import enum
import heapq
import itertools
import secrets
from collections.abc import Callable, Iterable, Iterator
from typing import Any

#: Spread of each requeue time, in milliseconds around it, so that nodes do not act at once.
SPREAD = 500
#: So long before it queues a job again a node asks the others who have a copy.
ADVANCE = 500
#: RETRY of a job that names none: a tenth of its TTL, at most this many seconds.
LONGEST_DEFAULT_RETRY = 300

Clock = Callable[[], int]


class State(enum.StrEnum):
    """Where a job is."""

    WAIT_REPL = "wait-repl"
    ACTIVE = "active"
    QUEUED = "queued"
    ACKED = "acked"


@dataclasses.dataclass(eq=False)
class Job:
    """One job, as this node knows it."""

    id: bytes
    queue: bytes
    body: bytes
    repl: int
    ctime: int
    etime: int
    delay: int
    retry: int
    state: State
    #: When it is queued again; 0: never.
    qtime: int = 0
    nacks: int = 0
    additional: int = 0
    #: It was queued here before: the next time counts.
    was_queued: bool = False
    was_delivered: bool = False
    #: The others have to be asked before it is queued again.
    asks_first: bool = False
    awake: int = 0
    #: Ids of the nodes that may have a copy, and of those that confirmed it or its end.
    holders: set[bytes] = dataclasses.field(default_factory=set)
    confirmed: set[bytes] = dataclasses.field(default_factory=set)

    @property
    def order(self) -> tuple[int, bytes]:
        """What queues are sorted by."""
        return self.ctime, self.id


class Queue:
    """The jobs that may be fetched from this node, and the clients that wait for one."""

    def __init__(self, name: bytes, now: int) -> None:
        self.name = name
        self.order: list[tuple[int, bytes]] = []
        self.paused: set[str] = set()
        self.waiting: collections.deque[Any] = collections.deque()
        self.made = self.used = now
        self.jobs_in = self.jobs_out = 0
        #: Federation: when all nodes were asked for jobs, how often in vain, and who gave some.
        self.asked, self.asked_in_vain = 0, 0
        self.givers: dict[bytes, int] = {}

    @property
    def pause(self) -> str:
        """`in`, `out`, `all` or `none`."""
        return "all" if len(self.paused) == 2 else next(iter(self.paused), "none")


class Jobs:
    """All jobs of one node. `tell(what, job, *details)` is called where other nodes must know."""

    def __init__(self, node: bytes, clock: Clock, tell: Callable[..., None]) -> None:
        self.node = node
        self.clock = clock
        self.jobs: dict[bytes, Job] = {}
        self.queues: dict[bytes, Queue] = {}
        self.size = 0
        self._tell = tell
        self._timers: list[tuple[int, int, Job]] = []
        self._serial = itertools.count()
        self._last_ctime = 0

    # -- making and unmaking ---------------------------------------------------------------------

    def make(self, queue: bytes, body: bytes, **values: Any) -> Job:
        """Make a job that is not known yet; `values` are fields, and `ttl` in seconds."""
        now, ttl = self.clock(), values.pop("ttl")
        self._last_ctime = max(now * 1_000_000, self._last_ctime + 1)
        ahead = values["delay"] or values["retry"]
        return Job(
            make_id(self.node, ttl, values["retry"]),
            queue,
            body,
            ctime=self._last_ctime,
            etime=now // 1000 + ttl,
            state=State.WAIT_REPL,
            qtime=now + ahead * 1000,
            holders={self.node},
            **values,
        )

    def add(self, job: Job) -> None:
        """Know a job from now on."""
        self.jobs[job.id] = job
        self.size += len(job.body)
        self.schedule(job)

    def drop(self, job: Job) -> None:
        """Know a job no longer."""
        self.dequeue(job)
        if self.jobs.pop(job.id, None) is not None:
            self.size -= len(job.body)
        job.awake = 0

    def clear(self) -> None:
        """Forget all."""
        self.jobs.clear()
        self._timers.clear()
        self.size = 0
        for queue in self.queues.values():
            queue.order.clear()

    def queue(self, name: bytes) -> Queue:
        """Give the queue, made where there is none."""
        if name not in self.queues:
            self.queues[name] = Queue(name, self.clock())
        return self.queues[name]

    # -- queueing --------------------------------------------------------------------------------

    def enqueue(self, job: Job, *, nack: bool = False) -> bool:
        """Make a job one that can be fetched; False if it is, or may only be delivered once."""
        if job.state is State.QUEUED or not job.qtime or (not job.retry and job.was_delivered):
            return False
        job.state = State.QUEUED
        self._postpone(job)
        if not job.retry:
            job.qtime = 0
        if job.was_queued or nack:
            self._tell("QUEUED", job, "nack" if nack else "delivery")
            job.nacks += nack
            job.additional += not nack
        else:
            job.was_queued = True
        self.schedule(job)
        queue = self.queue(job.queue)
        bisect.insort(queue.order, job.order)
        queue.used = self.clock()
        queue.jobs_in += 1
        self.serve(queue)
        return True

    def dequeue(self, job: Job) -> bool:
        """Take a job out of its queue; it is active then."""
        if job.state is not State.QUEUED:
            return False
        order = self.queues[job.queue].order
        del order[bisect.bisect_left(order, job.order)]
        job.state = State.ACTIVE
        return True

    def fetch(self, queue: Queue) -> Job | None:
        """Take the oldest job out of the queue to deliver it."""
        if not queue.order or "out" in queue.paused:
            return None
        job = self.jobs[queue.order.pop(0)[1]]
        job.state = State.ACTIVE
        job.was_delivered = True
        queue.used = self.clock()
        queue.jobs_out += 1
        return job

    def serve(self, queue: Queue) -> None:
        """Give the clients that wait for this queue one job each, the longest waiting first."""
        while queue.waiting and queue.order and "out" not in queue.paused:
            future = queue.waiting.popleft()
            if not future.done():
                future.set_result(self.fetch(queue))

    def working(self, job: Job) -> None:
        """Begin the RETRY time anew; takes the job out of its queue, too."""
        self.dequeue(job)
        if job.retry and job.qtime:
            self._postpone(job)
            self.schedule(job)

    def _postpone(self, job: Job) -> None:
        spread = secrets.randbelow(SPREAD) - SPREAD // 2
        job.qtime = self.clock() + job.retry * 1000 + spread
        job.asks_first = bool(job.retry)

    def postpone(self, job: Job) -> None:
        """Begin the RETRY time anew, the job stays where it is."""
        if job.retry and job.qtime:
            self._postpone(job)
            self.schedule(job)

    # -- time ------------------------------------------------------------------------------------

    def schedule(self, job: Job) -> None:
        """Reckon when the job is to be looked at next."""
        awake = job.etime * 1000 + 1000
        if job.state in (State.ACTIVE, State.QUEUED) and job.qtime:
            awake = min(awake, job.qtime - (ADVANCE if job.asks_first else 0))
        if awake != job.awake and job.id in self.jobs:
            job.awake = awake
            heapq.heappush(self._timers, (awake, next(self._serial), job))

    def tick(self) -> None:
        """Do what is due by now."""
        now = self.clock()
        while self._timers and self._timers[0][0] <= now:
            awake, _, job = heapq.heappop(self._timers)
            if awake == job.awake and self.jobs.get(job.id) is job:
                job.awake = 0
                self._look(job, now)

    def _look(self, job: Job, now: int) -> None:
        if job.etime <= now // 1000:
            self.drop(job)
            return
        lives = job.state in (State.ACTIVE, State.QUEUED)
        if lives and job.asks_first and job.qtime - ADVANCE <= now:
            if job.state is State.ACTIVE:
                self._tell("WILLQUEUE", job)
            job.asks_first = False
        elif job.state is State.ACTIVE and job.qtime <= now:
            queue = self.queues.get(job.queue)
            if job.retry and queue and "in" in queue.paused:
                self._postpone(job)
            else:
                self.enqueue(job)
        elif job.state is State.QUEUED and job.retry and job.qtime <= now:
            self._postpone(job)
        self.schedule(job)

    # -- looking ---------------------------------------------------------------------------------

    def in_queue(self, queue: Queue, *, newest_first: bool = False) -> Iterator[Job]:
        """Go through the jobs that may be fetched."""
        order: Iterable[tuple[int, bytes]] = queue.order
        if newest_first:
            order = reversed(queue.order)
        return (self.jobs[id] for _, id in order)


def make_id(node: bytes, ttl: int, retry: int) -> bytes:
    """Give a new job id: node, 24 characters, TTL in minutes (odd: at least once)."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    unique = "".join(secrets.choice(letters) for _ in range(24))
    minutes = min(ttl // 60, 65535)
    minutes = minutes | 1 if retry > 0 else minutes & ~1
    return b"D-%b-%b-%04x" % (node[:8], unique.encode(), minutes)


def is_id(text: bytes) -> bool:
    """Tell whether this has the form of a job id; Disque looks at no more than this."""
    return len(text) == 40 and text[:2] == b"D-" and text[10:11] == text[35:36] == b"-"
