"""What a Disque node is made of, and how jobs are copied to other nodes.

Messages are one-way, from one node to another; `disque_bus` carries them.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from .disque_jobs import Clock, Job, Jobs, State
from .disque_protocol import Refused

#: Seconds until one more node is asked to take a copy.
_MORE_NODES = 0.05
_OUT_OF_TIME = "NOREPL Timeout reached before replicating to the requested number of nodes"


class Carrier(Protocol):
    """What carries messages to other nodes."""

    def peers(self) -> list[bytes]:
        """The ids of all other nodes that are known."""

    def reachable(self) -> list[bytes]:
        """The ids of those that were heard of lately."""

    def send(self, peer: bytes, *words: bytes) -> None:
        """Send a message; it may get lost."""


class Alone:
    """No other nodes."""

    def peers(self) -> list[bytes]:
        """There are none."""
        return []

    reachable = peers

    def send(self, peer: bytes, *words: bytes) -> None:
        """Nobody to send to."""


class Keeper:
    """The jobs of one node, and the copies that others have of them."""

    def __init__(self, id: bytes, port: int, clock: Clock, password: bytes = b"") -> None:
        self.id, self.port, self.password = id, port, password
        self.jobs = Jobs(id, clock, self._tell)
        self.bus: Carrier = Alone()
        self.clients: dict[int, Any] = {}
        self.settings = {
            b"maxmemory": b"1073741824",
            b"maxmemory-samples": b"5",
            b"maxmemory-policy": b"acks",
        }
        self._copies: dict[bytes, asyncio.Event] = {}

    # -- sending ---------------------------------------------------------------------------------

    def _send(self, peers: Iterable[bytes], kind: bytes, *fields: bytes) -> None:
        for peer in peers:
            if peer != self.id:
                self.bus.send(peer, kind, *fields)

    def _tell(self, what: str, job: Job, *details: str) -> None:
        self._send(job.holders, what.encode(), job.id, *(text.encode() for text in details))

    def receive(self, kind: bytes, sender: bytes, fields: list[bytes]) -> None:
        """Do what another node's message asks for."""
        handler: Callable[..., None] = getattr(self, f"_on_{kind.decode().lower()}")
        handler(sender, *fields)

    # -- copies ----------------------------------------------------------------------------------

    async def replicate(self, job: Job, wait: float) -> None:
        """Return when `job.repl` nodes have it; Refused after `wait` seconds (0: never)."""
        loop = asyncio.get_running_loop()
        end = loop.time() + wait if wait else float("inf")
        got = self._copies[job.id] = asyncio.Event()
        job.confirmed.add(self.id)
        self.send_copies(job, job.repl - 1)
        try:
            while len(job.confirmed) < job.repl:
                got.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(got.wait(), _MORE_NODES)
                    continue
                if loop.time() >= end:
                    raise Refused(_OUT_OF_TIME)
                self.send_copies(job, 1)
        finally:
            del self._copies[job.id]
            if len(job.confirmed) < job.repl:
                self._send(job.holders, b"DELJOB", job.id)
                self.jobs.drop(job)
        job.confirmed = set()

    def send_copies(self, job: Job, count: int) -> None:
        """Send the job to so many more nodes, and again to those that were sent it."""
        others = [peer for peer in self.bus.reachable() if peer not in job.holders]
        job.holders |= set(random.sample(others, min(count, len(others))))
        self._send(job.holders, b"REPLJOB", *self._pack(job))

    def _pack(self, job: Job) -> list[bytes]:
        left = max(1, job.etime - self.jobs.clock() // 1000 + 1)
        numbers = (job.repl, job.ctime, left, job.delay, job.retry, job.nacks, job.additional)
        texts = (b"%d" % number for number in numbers)
        return [job.id, job.queue, job.body, *texts, *sorted(job.holders)]

    def _unpack(self, fields: tuple[bytes, ...]) -> Job:
        id, queue, body = fields[:3]
        repl, ctime, left, delay, retry, nacks, additional = map(int, fields[3:10])
        now = self.jobs.clock()
        job = Job(
            id, queue, body, repl, ctime, now // 1000 + left, delay, retry, State.ACTIVE,
            nacks=nacks, additional=additional, holders=set(fields[10:]),
        )  # fmt: skip
        if retry:
            job.qtime = now + delay * 1000 + retry * 1000
            job.asks_first = True
        return job

    def _on_repljob(self, sender: bytes, *fields: bytes) -> None:
        job = self._unpack(fields)
        queue = self.jobs.queues.get(job.queue)
        if queue and "in" in queue.paused:
            return
        if known := self.jobs.jobs.get(job.id):
            known.holders |= job.holders
        else:
            # It was queued by the other node: when it is here, that is told and counted.
            job.was_queued = True
            self.jobs.add(job)
        self._send([sender], b"GOTJOB", job.id)

    def _on_gotjob(self, sender: bytes, id: bytes) -> None:
        if event := self._copies.get(id):
            self.jobs.jobs[id].confirmed.add(sender)
            event.set()

    def delete(self, id: bytes) -> bool:
        """Forget a job here and tell all nodes that may have it; True if it was known here."""
        job = self.jobs.jobs.get(id)
        self._send(job.holders if job else self.bus.peers(), b"DELJOB", id)
        if job:
            self.jobs.drop(job)
        return job is not None

    def _on_deljob(self, sender: bytes, id: bytes) -> None:
        if job := self.jobs.jobs.get(id):
            self.jobs.drop(job)
