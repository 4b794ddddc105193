"""A Disque node in its cluster: requeueing, acknowledgements, federation, pauses.

What each message does is told in the section "Implementation details" of Disque's documentation.
Only the timing of repeated messages is simpler here: every second instead of ever more rarely.
"""

from typing import Any

from .disque_copies import Keeper
from .disque_jobs import Job, Queue, State, is_id
from .disque_protocol import Refused

#: Milliseconds between two messages to all nodes that ask for jobs: the first pause, the longest.
_ASK_ALL = (2_000, 30_000)
#: Milliseconds that a node counts as one that gave jobs; and between two questions to those.
_GIVER_LIFE, _ASK_GIVERS = 5_000, 100
#: Jobs that are asked for at a time.
_ASK_FOR = 5


class Node(Keeper):
    """One node: its jobs, and its part in the cluster."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._asked_givers = self._collected = 0

    def tick(self) -> None:
        """Do what is due by now."""
        self.jobs.tick()
        now = self.jobs.clock()
        for queue in list(self.jobs.queues.values()):
            if any(not future.done() for future in queue.waiting):
                self.need(queue)
        if now - self._collected >= 1000:
            self._collected = now
            for job in [job for job in self.jobs.jobs.values() if job.state is State.ACKED]:
                self._collect(job)

    # -- requeueing ------------------------------------------------------------------------------

    def _on_queued(self, sender: bytes, id: bytes, why: bytes) -> None:
        job = self.jobs.jobs.get(id)
        if job is None:
            return
        if job.state is State.ACKED:
            self._send([sender], b"SETACK", id, b"%d" % len(job.holders))
            return
        if job.state is State.QUEUED and _mixed(sender, id) > _mixed(self.id, id):
            self.jobs.dequeue(job)
        job.nacks += why == b"nack"
        job.additional += why == b"delivery"
        self.jobs.postpone(job)

    def _on_willqueue(self, sender: bytes, id: bytes) -> None:
        job = self.jobs.jobs.get(id)
        if job and job.state in (State.ACTIVE, State.QUEUED):
            job.holders.add(sender)
        if job and job.state is State.QUEUED:
            self._tell("QUEUED", job, "before")
        elif job and job.state is State.ACKED:
            self._send([sender], b"SETACK", id, b"%d" % len(job.holders))

    def working(self, job: Job) -> None:
        """Begin the RETRY time anew on all nodes that have the job."""
        self.jobs.working(job)
        self._tell("WORKING", job)

    def _on_working(self, sender: bytes, id: bytes) -> None:
        job = self.jobs.jobs.get(id)
        if job and job.state is not State.ACKED:
            self.jobs.working(job)

    # -- acknowledgements ------------------------------------------------------------------------

    def acknowledge(self, id: bytes) -> bool:
        """Acknowledge for all nodes; True if the job was known here and not acknowledged."""
        job = self.jobs.jobs.get(id)
        is_news = job is not None and self._set_acked(job)
        if job is None and self.bus.peers() and int(id[36:], 16) & 1:
            # Somebody may have it. What is kept here is the acknowledgement alone.
            end = self.jobs.clock() // 1000 + int(id[36:], 16) * 60
            job = Job(id, b"", b"", 0, 0, end, 0, 0, State.ACKED)
            self.jobs.add(job)
        if job:
            self._collect(job)
        return is_news

    def _set_acked(self, job: Job) -> bool:
        if job.state is State.ACKED:
            return False
        self.jobs.dequeue(job)
        job.state = State.ACKED
        job.confirmed = set()
        self.jobs.schedule(job)
        return True

    def _collect(self, job: Job) -> None:
        """Drop an acknowledged job if all who may have it know, else tell them."""
        job.confirmed.add(self.id)
        targets = job.holders or {*self.bus.peers(), self.id}
        if targets <= job.confirmed:
            self._send(job.holders, b"DELJOB", job.id)
            self.jobs.drop(job)
            return
        self._send(targets - job.confirmed, b"SETACK", job.id, b"%d" % len(job.holders))

    def _on_setack(self, sender: bytes, id: bytes, may_have: bytes) -> None:
        job = self.jobs.jobs.get(id)
        if job:
            self._set_acked(job)
        is_larger = job is not None and len(job.holders) > int(may_have)
        if not is_larger or int(may_have) == 0:
            self._send([sender], b"GOTACK", id, b"%d" % (job is not None))
        if job and is_larger:
            self._collect(job)

    def _on_gotack(self, sender: bytes, id: bytes, known: bytes) -> None:
        job = self.jobs.jobs.get(id)
        if job is None or job.state is not State.ACKED:
            return
        if known == b"1" and not job.holders:
            self.jobs.drop(job)  # the one who has it goes on
            return
        if known == b"1":
            job.holders.add(sender)
        job.confirmed.add(sender)
        self._collect(job)

    # -- federation ------------------------------------------------------------------------------

    def need(self, queue: Queue) -> None:
        """Ask other nodes for jobs of a queue that somebody waits for, not too often."""
        now = self.jobs.clock()
        pause = min(_ASK_ALL[0] << min(queue.asked_in_vain, 10), _ASK_ALL[1])
        if now - queue.asked > pause:
            queue.asked = now
            queue.asked_in_vain += 1
            self._send(self.bus.peers(), b"NEEDJOBS", queue.name, b"1")
        if now - self._asked_givers > _ASK_GIVERS and (givers := _recent(queue, now)):
            self._asked_givers = now
            self._send(givers, b"NEEDJOBS", queue.name, b"%d" % _ASK_FOR)

    def _on_needjobs(self, sender: bytes, name: bytes, count: bytes) -> None:
        queue = self.jobs.queues.get(name)
        if queue is None or "out" in queue.paused or _recent(queue, self.jobs.clock()):
            return
        length = len(queue.order)
        for _ in range(min(int(count), max(1, length // 2), length)):
            if job := self.jobs.fetch(queue):
                job.holders.add(sender)
                self._send([sender], b"YOURJOBS", *self._pack(job))
                if not job.retry:
                    self.jobs.drop(job)

    def _on_yourjobs(self, sender: bytes, *fields: bytes) -> None:
        new = self._unpack(fields)
        job = self.jobs.jobs.setdefault(new.id, new)
        if job is new:
            self.jobs.size += len(job.body)
        job.was_queued = False
        if not job.retry:
            job.qtime = self.jobs.clock()
        if self.jobs.enqueue(job):
            queue = self.jobs.queue(job.queue)
            if sender not in queue.givers:
                queue.asked_in_vain = 0
            queue.givers[sender] = self.jobs.clock()

    # -- pauses ----------------------------------------------------------------------------------

    def pause(self, name: bytes, paused: set[str], *, everywhere: bool = False) -> None:
        """Stop or start what goes into a queue, or out of it."""
        queue = self.jobs.queue(name)
        queue.paused = paused
        self.jobs.serve(queue)
        if everywhere:
            self._send(self.bus.peers(), b"PAUSE", name, *(text.encode() for text in paused))

    def _on_pause(self, sender: bytes, name: bytes, *paused: bytes) -> None:
        self.pause(name, {text.decode() for text in paused})


def check_ids(words: list[bytes]) -> list[bytes]:
    """Give the words, if all of them have the form of job ids: else nothing is done at all."""
    if not all(map(is_id, words)):
        raise Refused("BADID Invalid Job ID format.")
    return words


def _mixed(node: bytes, id: bytes) -> bytes:
    """Mix node and job id, so that of two nodes it is not always the same that wins."""
    return bytes(letter ^ id[11 + place % 24] for place, letter in enumerate(node))


def _recent(queue: Queue, now: int) -> list[bytes]:
    return [node for node, given in queue.givers.items() if now - given < _GIVER_LIFE]
