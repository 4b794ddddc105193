"""Servers that have no room, or no time: F17."""

import contextlib
import functools
import os
import pwd
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import redis

from django_q.exceptions import BrokerError
from django_q.tasks import async_task
from tests.faults.arena import WORKERS, Arena
from tests.faults.producer import Producer
from tests.faults.scenario import scenario
from tests.servers import Relay, Server
from tests.waiting import wait_until

#: Seconds that a server is full or refuses.
SHORTAGE = 15.0
#: MiB of the small file system that the tables lie on.
DISK = 64
#: Part of the requests that are throttled while not all are.
THROTTLED = 0.5


@scenario("F17", ("redis", "postgres", "sqs"))
def a_server_has_no_room(arena: Arena) -> None:
    """Disk full (PostgreSQL on a small tmpfs), Redis out of memory, SQS throttling."""
    ways = {"redis": _out_of_memory, "postgres": _disk_full, "sqs": _throttled}
    ways[arena.findings.broker](arena)


def _out_of_memory(arena: Arena) -> None:
    server = redis.Redis.from_url(arena.servers[0].url)
    arena.send(arena.tasks // 2)
    try:
        # Less than the empty server needs: it is out of memory until the limit is raised.
        server.config_set("maxmemory", 1)
        refusals = [_refusal() for _ in range(20)]
        cluster = arena.cluster()
        arena.wait_progress(1.0)
        broker = arena.broker
        wait_until(lambda: not broker.queue_size() + broker.lock_size(), 20, what="receipts")
        arena.findings.exactly("deaths", cluster.log().count("] died ("), 0)
    finally:
        server.config_set("maxmemory", 0)
    told = sum("is out of memory" in text for text in refusals)
    arena.findings.exactly("refused with a clear error", told, 20)
    arena.findings.exactly("drained meanwhile", len(arena.trace.ended()), arena.tasks // 2)
    arena.send(arena.tasks - arena.tasks // 2)
    arena.wait_done()
    arena.count(dup=0)


def _refusal() -> str:
    """Give the text with which a task is refused; "" when it is accepted."""
    try:
        async_task("tests.site.tasks.noop")
    except BrokerError as error:
        return str(error)
    return ""


def _disk_full(arena: Arena) -> None:
    with _small_disk(arena) as disk:
        arena.cluster()
        with Producer(arena, 0.02) as producer:
            wait_until(producer.accepted, 30, what="the first task")
            arena.send()
            arena.wait_progress(0.1)
            filler = disk / "filler"
            _fill(filler)
            wait_until(lambda: producer.lines("refused"), 60, what="a refusal")
            time.sleep(SHORTAGE)  # the fault: it lasts so long
            waiting = arena.broker.queue_size() + arena.broker.lock_size()
            arena.findings.at_least("waiting meanwhile", waiting, 1)
            filler.unlink()
            _note_recovery(arena, producer)
            producer.stop()
            wait_until(lambda: not producer.missing(), 60, what="all that was accepted")
        _note_refusals(arena, producer, "No space left on device")
        arena.wait_done()
        # What had run and could not be stored waits in its worker; a lease may lapse meanwhile.
        arena.count(dup=10 * WORKERS)


@contextlib.contextmanager
def _small_disk(arena: Arena) -> Iterator[Path]:
    """Let the tables lie on a small file system, which only root can mount."""
    if os.geteuid() != 0:
        raise PermissionError("A small file system is mounted for this: run it as root.")
    server = arena.servers[0]
    disk = server.directory / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}m", "tmpfs", disk], check=True)
    try:
        data = disk / "data"
        data.mkdir(mode=0o700)
        owner = pwd.getpwnam(server.user or "root")
        os.chown(data, owner.pw_uid, owner.pw_gid)
        _say(server, f"CREATE TABLESPACE small LOCATION '{data}'")
        _move(server, "pg_default", "small")
        yield disk
    finally:
        _move(server, "small", "pg_default")
        _say(server, "DROP TABLESPACE IF EXISTS small")
        subprocess.run(["umount", disk], check=True)
        disk.rmdir()


def _move(server: Server, source: str, target: str) -> None:
    for kind in ("TABLE", "INDEX"):
        _say(server, f"ALTER {kind} ALL IN TABLESPACE {source} SET TABLESPACE {target}")


def _say(server: Server, statement: str) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(statement)


def _fill(path: Path) -> None:
    with contextlib.suppress(OSError), open(path, "wb", buffering=0) as filler:
        while filler.write(bytes(4096)):
            pass


def _throttled(arena: Arena) -> None:
    with _Throttle(arena.servers[0].url, arena.findings.seed) as relay:
        arena.cluster(sqs=relay.settings)
        with Producer(arena, 0.02, sqs=relay.settings) as producer:
            wait_until(producer.accepted, 30, what="the first task")
            relay.part = THROTTLED
            arena.send(arena.tasks // 2)
            arena.wait_progress(1.0)
            relay.part = 1.0
            wait_until(lambda: producer.lines("refused"), 60, what="a refusal")
            time.sleep(SHORTAGE)  # the fault: it lasts so long
            relay.part = 0.0
            _note_recovery(arena, producer)
            producer.stop()
            wait_until(lambda: not producer.missing(), 60, what="all that was accepted")
        _note_refusals(arena, producer, "ThrottlingException")
        arena.findings.at_least("requests throttled", relay.throttled, 1)
        arena.send(arena.tasks - arena.tasks // 2)
        arena.wait_done()
        # A lease that cannot be renewed for so long lapses.
        arena.count(dup=10 * WORKERS)


class _Throttle(Relay):
    """Refuses a part of the requests, as Amazon does who asks too often."""

    def __init__(self, target: str, seed: int) -> None:
        super().__init__(target)
        #: Part of the requests that are refused, from 0 to 1.
        self.part = 0.0
        #: How many were.
        self.throttled = 0
        self._random = random.Random(seed)
        self._refusal = functools.partial(
            self.refuse, code="ThrottlingException", message="Rate exceeded"
        )

    def answer(
        self, target: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, bytes, dict[str, str]]:
        """Answer a request as the server does, or refuse it."""
        if self._random.random() < self.part:
            self.throttled += 1
            self._refusal(target.rpartition(".")[2])
        return super().answer(target, body, headers)


def _note_recovery(arena: Arena, producer: Producer) -> None:
    began, accepted = time.monotonic(), len(producer.accepted())
    ended = len(producer.trace.ended())
    wait_until(lambda: len(producer.accepted()) > accepted, 60, what="an accepted task")
    wait_until(lambda: len(producer.trace.ended()) > ended, 60, what="work")
    arena.findings.at_most("works again after", time.monotonic() - began, 35.0, " s")


def _note_refusals(arena: Arena, producer: Producer, text: str) -> None:
    refusals = [line[2] for line in producer.lines("refused")]
    told = sum(text in refusal for refusal in refusals)
    arena.findings.exactly("refused without a clear error", len(refusals) - told, 0)
    arena.findings.at_least("refused", told, 1)
    arena.findings.at_most("longest call", producer.longest(), 15.0, " s")
