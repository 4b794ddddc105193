"""A SQLite database that others write into as well: F44."""

import contextlib
import os
import sqlite3
import time

from django.db import connections

from django_q.models import Task
from tests.faults.arena import WORKERS, Arena
from tests.faults.producer import Producer
from tests.faults.scenario import scenario
from tests.site import databases
from tests.waiting import wait_until

#: Seconds that SQLite itself waits for a lock here: Django's default is ten times as long.
PATIENCE = 0.5
#: Seconds of a burst in which nobody else can write; and of one that is longer than all patience.
BURST, LONGEST_BURST = 2.0, 15.0


@scenario("F44", ("sqlite",))
def others_lock_the_file(arena: Arena) -> None:
    """SQLite: four workers and a writing web process, bursts of "database is locked"."""
    os.environ[databases.PATIENCE] = str(PATIENCE)
    try:
        cluster, producer = arena.cluster(), Producer(arena, 0.02)
    finally:
        del os.environ[databases.PATIENCE]
    with producer:
        wait_until(producer.accepted, 30, what="the first task")
        part = arena.tasks // (arena.times(30) + 1)
        for _ in range(arena.times(30)):
            arena.send(part)
            time.sleep(arena.random.uniform(0.1, 0.5))  # the fault: at any moment
            _lock(BURST)
        arena.send(arena.tasks - part * arena.times(30))
        _lock(LONGEST_BURST)
        began, ended = time.monotonic(), len(producer.trace.ended())
        wait_until(lambda: len(producer.trace.ended()) > ended, 60, what="work")
        arena.findings.at_most("works again after", time.monotonic() - began, 15.0, " s")
        producer.stop()
        with contextlib.suppress(AssertionError):  # what is missing is counted
            wait_until(lambda: not producer.missing(), 60)
    arena.wait_done()

    refusals = [line[2] for line in producer.lines("refused")]
    unclear = [text for text in refusals if "locked" not in text]
    arena.findings.exactly("lost of producer", len(producer.missing()), 0)
    arena.findings.at_least("accepted", len(producer.accepted()), 1)
    arena.findings.note("refused", len(refusals))
    arena.findings.exactly("refused without a clear error", len(unclear), 0)
    arena.findings.exactly("failed", Task.objects.filter(success=False).count(), 0)
    arena.findings.exactly("deaths", cluster.log().count("] died ("), 0)
    # Nobody can renew a lease while the file is locked.
    arena.count(dup=10 * WORKERS)


def _lock(seconds: float) -> None:
    """Keep everybody else from writing for a while."""
    path = connections["default"].settings_dict["NAME"]
    with contextlib.closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)  # the fault: it lasts so long
        writer.execute("ROLLBACK")
