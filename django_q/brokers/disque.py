"""The Disque broker: packages are jobs of a Disque cluster, lent by any of its nodes.

What was learnt of Disque's commands, and which of them count: `docs/brokers/disque.rst`.
"""

import functools
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import redis

from django_q.brokers.base import Broker
from django_q.brokers.disque_jobs import (
    BATCH,
    addjob,
    by_node,
    facts_of,
    is_once,
    job_id,
    lease_of,
    numbers_of_copies,
    whole_retry,
)
from django_q.brokers.disque_nodes import Node, Nodes, configured_nodes
from django_q.brokers.lease import Lease
from django_q.brokers.partly import partly, split
from django_q.conf import Conf, logger

#: Characters after which a call is not filled further.
BATCH_SIZE = 4 * 2**20
#: Jobs that one step of a scan looks for.
SCAN = 1000
#: How much of its life a package may be held back: it counts from the start, and its leases can
#: be renewed in the first half of it only.
PART_OF_LIFE = 0.1
#: Seconds one waiting call asks for at most, well below the limit of a reply.
BLOCK_LIMIT = 1.0


class Disque(Broker):
    """Keeps packages in Disque 1.0; a queue has the name of the cluster that serves it.

    Disque cannot tell an old receipt from a new one: whoever had a package may acknowledge it.
    """

    has_receipts = can_renew = can_release = can_delay = can_delete = portable_receipts = True
    max_delay = PART_OF_LIFE * 604_800

    def __init__(self, list_key: str | None = None) -> None:
        super().__init__(list_key)
        self.max_delay = PART_OF_LIFE * Conf.DISQUE_TTL
        #: The last packages got fewer copies than usual; told once.
        self._lacks_copies = False

    @staticmethod
    def get_connection(list_key: str | None = None) -> Nodes:
        """Make clients for the nodes that the settings name; connects to none of them yet."""
        return configured_nodes()

    @property
    def _nodes(self) -> Nodes:
        nodes: Nodes = self.connection
        return nodes

    def close(self) -> None:
        """Close the connections; the next use makes new ones."""
        nodes = self.__dict__.pop("connection", None)
        if nodes is not None:
            nodes.close()

    # -- producing --------------------------------------------------------------------------

    def enqueue_many(
        self, tasks: Iterable[str], *, delay: float = 0.0, priority: int = 0
    ) -> list[str]:
        """Keep the packages in their order, a hundred at a time; their ids are those of the jobs.

        If all nodes go away in between, the packages before that stay.
        """
        with partly() as kept:
            for batch in split(tasks, BATCH, BATCH_SIZE):
                add = functools.partial(self._add, batch=batch, delay=delay)
                kept += self._nodes.call(add)
        return kept

    def _add(self, node: Node, batch: Sequence[str], delay: float) -> list[str]:
        ids: dict[int, str] = {}
        refused: dict[int, Exception] = {}
        left = list(range(len(batch)))
        choices = numbers_of_copies()
        for copies in choices:
            words = [addjob(self.list_key, batch[place], delay, copies) for place in left]
            replies = node.run_many(words)
            answers = dict(zip(left, replies, strict=True))
            refused = {n: reply for n, reply in answers.items() if isinstance(reply, Exception)}
            ids |= {n: reply.decode() for n, reply in answers.items() if n not in refused}
            left = [n for n, error in refused.items() if str(error).startswith("NOREPL")]
            if len(left) < len(refused) or not left:
                break
        if refused:
            if ids:
                # All or none of a batch: whoever gets the error will send all of it again.
                node.run("FASTACK", *ids.values())
            raise next(iter(refused.values()))
        self._tell_copies(node, copies if copies != choices[0] else None)
        return [ids[place] for place in range(len(batch))]

    def _tell_copies(self, node: Node, copies: int | None) -> None:
        if copies and not self._lacks_copies:
            text = "Disque at %s reaches too few nodes: packages are kept on %s of them."
            logger.warning(text, node.address, copies)
        self._lacks_copies = bool(copies)

    # -- lending ----------------------------------------------------------------------------

    def lease(self, limit: int = 1, wait: float = 0.0) -> list[Lease]:
        """Lend up to `limit` packages of one node; one alone when it had to be waited for.

        All nodes are asked in turn, and then the one in use is waited at, a second at most.
        """
        deadline = time.monotonic() + wait
        limit = max(1, min(limit, BATCH))
        while True:
            look = functools.partial(self._lend, limit=limit, wait=0.0)
            leases = self._nodes.ask(look, bool)[-1]
            left = deadline - time.monotonic()
            if not leases and left > 0:
                wait = min(left, BLOCK_LIMIT)
                leases = self._nodes.call(functools.partial(self._lend, limit=limit, wait=wait))
            if leases or time.monotonic() >= deadline:
                return leases

    def _lend(self, node: Node, limit: int, wait: float) -> list[Lease]:
        # A timeout of zero would mean for ever.
        how = ["TIMEOUT", max(1, round(wait * 1000))] if wait > 0 else ["NOHANG"]
        words = ["GETJOB", *how, "COUNT", limit, "WITHCOUNTERS", "FROM", self.list_key]
        jobs = [(id.decode(), body, more) for _, id, body, *more in node.run(*words) or []]
        begun = self._begin(node, [id for id, _, _ in jobs]) if jobs else set()
        return [lease_of(node.address, *job) for job in jobs if job[0] in begun]

    @staticmethod
    def _begin(node: Node, ids: Sequence[str]) -> set[str]:
        """Begin the leases: GETJOB does not, the time until a job comes again has run before.

        What is delivered once at most is done with. Gives the ids that were not deleted meanwhile.
        """
        calls = [("FASTACK" if is_once(id) else "WORKING", id) for id in ids]
        try:
            replies = node.run_many(calls)
        except (redis.ConnectionError, redis.TimeoutError):
            # They are ours all the same, and nobody else may have them.
            return set(ids)
        answers = zip(ids, replies, strict=True)
        return {id for id, reply in answers if reply != 0 and not _is_code(reply, "NOJOB", "ACKED")}

    # -- receipts ---------------------------------------------------------------------------

    def acknowledge_many(self, receipts: Sequence[str]) -> None:
        """Acknowledge the jobs, whoever has them now; by FASTACK if `disque_fastack` is set."""
        self._run("FASTACK" if Conf.DISQUE_FASTACK else "ACKJOB", receipts)

    def _run(self, command: str, receipts: Sequence[str]) -> None:
        """Run a command about jobs on the nodes that lent them."""
        for address, ids in by_node(receipts):
            self._nodes.execute_command(command, *ids, start=address)

    def renew(self, receipts: Sequence[str]) -> list[str]:
        """Prolong leases; not those of packages that have lived half of `disque_ttl`."""
        valid: set[str] = set()
        for address, ids in by_node(receipts):
            valid |= self._renew_at(address, ids)
        return [receipt for receipt in receipts if job_id(receipt) in valid]

    def _renew_at(self, address: str, ids: Sequence[str]) -> set[str]:
        valid: set[str] = set()
        unknown = list(ids)

        def work(node: Node) -> bool:
            replies = list(zip(unknown, _working(node, unknown), strict=True))
            valid.update(id for id, reply in replies if isinstance(reply, int))
            unknown[:] = [id for id, reply in replies if _is_code(reply, "NOJOB")]
            # Another node may never have had them; the one that lent them knows.
            return not unknown or node.address == address

        self._nodes.ask(work, bool, address)
        return valid

    def release(
        self, receipts: Sequence[str], delay: float = 0.0, *, counted: bool = False
    ) -> None:
        """Give jobs back: by NACK, which this broker does not count, or ENQUEUE, which it does.

        With a delay they come back after their own RETRY if that is it, else as new jobs.
        """
        if delay <= 0:
            self._run("ENQUEUE" if counted else "NACK", receipts)
            return
        for address, ids in by_node(receipts):
            put_off = functools.partial(self._put_off, ids=ids, delay=delay, counted=counted)
            self._nodes.call(put_off, address)

    def _put_off(self, node: Node, ids: Sequence[str], delay: float, counted: bool) -> None:
        retries = dict(zip(ids, _working(node, ids), strict=True))
        if counted:
            # What lapses is counted, too.
            ids = [id for id in ids if retries[id] != whole_retry(delay)]
        jobs = {id: facts for id, facts in _shown(node, ids) if facts["state"] != b"acked"}
        bodies = {id: facts["body"] for id, facts in jobs.items()}
        if bodies:
            self._add(node, list(bodies.values()), delay)
            node.run("ACKJOB", *bodies)

    # -- the queue --------------------------------------------------------------------------

    def delete(self, task_id: str) -> bool:
        """Take the job away from all nodes, waiting, leased or delayed."""
        id = job_id(task_id)

        def work(node: Node) -> bool:
            facts = facts_of(node.run("SHOW", id))
            # Not DELJOB: the copies on other nodes would come.
            return facts.get("state", b"acked") != b"acked" and bool(node.run("ACKJOB", id))

        return bool(id) and any(self._nodes.ask(work, bool))

    def purge_queue(self) -> None:
        """Delete the jobs that the nodes which answer know; looks at all jobs of all queues."""
        self._nodes.each(self._purge)

    def _purge(self, node: Node) -> None:
        cursor, states = b"0", ("STATE", "active", "STATE", "queued", "STATE", "wait-repl")
        while True:
            words = ("JSCAN", cursor, "COUNT", SCAN, "QUEUE", self.list_key, *states)
            cursor, ids = node.run(*words)
            if ids:
                node.run("FASTACK", *ids)
            if cursor == b"0":
                return

    def queue_size(self) -> int:
        """Count what waits on the nodes that answer."""
        return sum(self._nodes.each(lambda node: int(node.run("QLEN", self.list_key))))

    def ping(self) -> bool:
        """Ask one node after another over new connections, within two seconds for all of them."""
        return self._nodes.ping()

    def info(self) -> str:
        """Name and version, as `Disque 1.0-rc1`; asked once."""
        if self._info is None:
            facts = self._nodes.call(lambda node: node.run("INFO", "server"))
            self._info = f"Disque {facts.get('disque_version', '')}".strip()
        return self._info


def _working(node: Node, ids: Sequence[str]) -> list[Any]:
    return node.run_many(("WORKING", id) for id in ids)


def _shown(node: Node, ids: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the jobs that the node knows, with all it knows of them."""
    replies = node.run_many(("SHOW", id) for id in ids)
    return ((id, facts_of(reply)) for id, reply in zip(ids, replies, strict=True) if reply)


def _is_code(reply: Any, *codes: str) -> bool:
    return isinstance(reply, redis.ResponseError) and str(reply).startswith(codes)
