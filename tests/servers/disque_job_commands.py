"""The commands about jobs: ADDJOB, GETJOB, acknowledgements, WORKING, NACK, SHOW and the like.

A command takes the node and its words without the name; it gives a reply, or something to await.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from .disque_jobs import LONGEST_DEFAULT_RETRY, Job, Queue, State
from .disque_node import Node, check_ids
from .disque_protocol import NIL_LIST, Refused, Status

Words = list[bytes]

#: What an option of ADDJOB must be: lowest and highest value, and the complaint.
_OPTIONS = {
    b"replicate": (1, 65535, "REPLICATE must be between 1 and 65535"),
    b"ttl": (1, 2**62, "TTL must be a number > 0"),
    b"retry": (0, 2**62, "RETRY time must be a non negative number"),
    b"delay": (0, 2**62, "DELAY time must be a non negative number"),
    b"maxlen": (1, 2**62, "MAXLEN must be a positive number"),
}


def number(word: bytes, low: int, high: int, complaint: str) -> int:
    """Read a whole number, or refuse with the complaint."""
    try:
        value = int(word)
    except ValueError:
        raise Refused(complaint) from None
    if not low <= value <= high:
        raise Refused(complaint)
    return value


def _timeout(word: bytes) -> float:
    value = number(word, -(2**62), 2**62, "timeout is not an integer or out of range")
    if value < 0:
        raise Refused("timeout is negative")
    return value / 1000


# -- ADDJOB --------------------------------------------------------------------------------------


def addjob(node: Node, words: Words) -> bytes | Awaitable[Any]:
    """Add a job; the reply is its id."""
    name, body, wait = words[:3]
    options, is_async = _addjob_options(words[3:])
    seconds = _timeout(wait)
    peers = node.bus.peers()
    repl = options.get(b"replicate", min(3, 1 + len(peers)))
    ttl, retry, delay = options.get(b"ttl", 86400), options.get(b"retry"), options.get(b"delay", 0)
    if repl > 1 and retry == 0:
        raise Refused(
            "With RETRY set to 0 please explicitly set  REPLICATE to 1 (at-most-once delivery)"
        )
    if delay >= ttl:
        raise Refused(
            "The specified DELAY is greater than TTL. Job refused since would never be delivered"
        )
    if retry is None:
        retry = max(1, min(ttl // 10, LONGEST_DEFAULT_RETRY))
    if repl - 1 > len(node.bus.reachable()):
        raise Refused("NOREPL Not enough reachable nodes for the requested replication level")
    _check_queue(node, name, options.get(b"maxlen", 0))
    job = node.jobs.make(name, body, ttl=ttl, retry=retry, delay=delay, repl=repl)
    node.jobs.add(job)
    if repl > 1 and not is_async:
        return _add_copied(node, job, seconds)
    node.send_copies(job, repl - 1)
    return _begin(node, job)


def _addjob_options(words: Words) -> tuple[dict[bytes, int], bool]:
    options: dict[bytes, int] = {}
    is_async = False
    rest = iter(words)
    for word in rest:
        name = word.lower()
        if name == b"async":
            is_async = True
        elif name in _OPTIONS and (value := next(rest, None)) is not None:
            options[name] = number(value, *_OPTIONS[name])
        else:
            raise Refused("syntax error")
    return options, is_async


def _check_queue(node: Node, name: bytes, maxlen: int) -> None:
    queue = node.jobs.queues.get(name)
    if queue and maxlen and len(queue.order) >= maxlen:
        raise Refused("MAXLEN Queue is already longer than the specified MAXLEN count")
    if queue and "in" in queue.paused:
        raise Refused("PAUSED Queue paused in input, try later")


async def _add_copied(node: Node, job: Job, seconds: float) -> bytes:
    await node.replicate(job, seconds)
    return _begin(node, job)


def _begin(node: Node, job: Job) -> bytes:
    job.state = State.ACTIVE
    if job.delay:
        node.jobs.schedule(job)
    else:
        node.jobs.enqueue(job)
    return Status(job.id.decode())  # type: ignore[return-value]


# -- GETJOB --------------------------------------------------------------------------------------


def getjob(node: Node, words: Words) -> Any:
    """Fetch up to COUNT jobs that wait, or wait for one."""
    count, seconds, flags = 1, 0.0, set()
    rest = iter(words)
    names: Words = []
    for word in rest:
        name = word.lower()
        if name in (b"nohang", b"withcounters"):
            flags.add(name)
        elif name == b"timeout" and (value := next(rest, None)) is not None:
            seconds = _timeout(value)
        elif name == b"count" and (value := next(rest, None)) is not None:
            count = number(value, 1, 2**62, "COUNT must be a number greater than zero")
        elif name == b"from":
            names = list(rest)
        else:
            raise Refused("syntax error")
    if not names:
        raise Refused("syntax error")
    queues = [node.jobs.queue(name) for name in names]
    counters = b"withcounters" in flags
    if jobs := _fetch(node, queues, count):
        return [_delivery(job, counters) for job in jobs]
    return NIL_LIST if b"nohang" in flags else _wait(queues, seconds, counters)


def _fetch(node: Node, queues: list[Queue], count: int) -> list[Job]:
    """Take jobs from the queues in turn, until none has any."""
    jobs: list[Job] = []
    came = True
    while came and len(jobs) < count:
        came = False
        for queue in queues:
            job = node.jobs.fetch(queue) if len(jobs) < count else None
            if job:
                jobs.append(job)
                came = True
            elif not queue.order:
                node.need(queue)
    return jobs


async def _wait(queues: list[Queue], seconds: float, counters: bool) -> Any:
    future: asyncio.Future[Job] = asyncio.get_running_loop().create_future()
    for queue in queues:
        queue.waiting.append(future)
    try:
        # One job only: that is all a client gets that had to wait.
        return [_delivery(await asyncio.wait_for(future, seconds or None), counters)]
    except TimeoutError:
        return NIL_LIST
    finally:
        for queue in queues:
            with contextlib.suppress(ValueError):
                queue.waiting.remove(future)


def _delivery(job: Job, counters: bool = False) -> list[Any]:
    delivery: list[Any] = [job.queue, job.id, job.body]
    if counters:
        delivery += ["nacks", job.nacks, "additional-deliveries", job.additional]
    return delivery


# -- jobs by their ids ---------------------------------------------------------------------------


def _counting(act: Callable[[Node, Job], bool]) -> Callable[[Node, Words], int]:
    """Make the command that does something to each of the jobs that are known; how many it did."""

    def command(node: Node, words: Words) -> int:
        known = (node.jobs.jobs.get(id) for id in check_ids(words))
        # One after the other: an id may stand there twice.
        return sum([act(node, job) for job in known if job is not None])

    return command


def _requeue(node: Node, job: Job, *, nack: bool) -> bool:
    return job.state is State.ACTIVE and node.jobs.enqueue(job, nack=nack)


def _evict(node: Node, job: Job) -> bool:
    node.jobs.drop(job)
    return True


nack = _counting(lambda node, job: _requeue(node, job, nack=True))
enqueue = _counting(lambda node, job: _requeue(node, job, nack=False))
dequeue = _counting(lambda node, job: node.jobs.dequeue(job))
deljob = _counting(_evict)


def ackjob(node: Node, words: Words) -> int:
    """Acknowledge jobs; how many were known here."""
    return sum([node.acknowledge(id) for id in check_ids(words)])


def fastack(node: Node, words: Words) -> int:
    """Delete jobs on all nodes that can be reached; how many were known here."""
    return sum([node.delete(id) for id in check_ids(words)])


def working(node: Node, words: Words) -> int:
    """Begin the RETRY time of a job anew; the reply is that time."""
    (id,) = check_ids(words)
    job = node.jobs.jobs.get(id)
    if job is None:
        raise Refused("NOJOB Job not known in the context of this node.")
    if job.state is State.ACKED:
        raise Refused("ACKED Job already acknowledged.")
    made = job.ctime // 1_000_000
    if node.jobs.clock() - made > (job.etime * 1000 - made) / 2:
        raise Refused(
            "TOOLATE Half of job TTL already elapsed, "
            "you are no longer allowed to postpone the next delivery."
        )
    node.working(job)
    return job.retry


def show(node: Node, words: Words) -> list[Any] | None:
    """Tell all about a job."""
    (id,) = check_ids(words)
    job = node.jobs.jobs.get(id)
    return None if job is None else facts(node, job)


def facts(node: Node, job: Job) -> list[Any]:
    """Tell all about a job, names and values in turn."""
    now = node.jobs.clock()
    told = {
        "id": job.id, "queue": job.queue or None, "state": str(job.state), "repl": job.repl,
        "ttl": max(0, job.etime - now // 1000), "ctime": job.ctime, "delay": job.delay,
        "retry": job.retry, "nacks": job.nacks, "additional-deliveries": job.additional,
        "nodes-delivered": sorted(job.holders), "nodes-confirmed": sorted(job.confirmed),
        "next-requeue-within": max(0, job.qtime - now) if job.qtime else None,
        "next-awake-within": max(0, job.awake - now) if job.awake else None,
        "body": job.body,
    }  # fmt: skip
    return [part for pair in told.items() for part in pair]
