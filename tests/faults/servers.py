"""Servers that go away: F11 to F15."""

import threading
import time

import psycopg
from django.db import connections

from tests.faults.arena import WORKERS, Arena
from tests.faults.scenario import scenario
from tests.waiting import wait_until


@scenario("F12", ("redis", "postgres", "mariadb", "disque"))
def the_broker_is_killed(arena: Arena) -> None:
    """Broker kill -9 and restart, 10 times in a drain (of Disque: one of two nodes)."""
    server = arena.servers[0]
    arena.cluster()
    arena.send()
    took = []
    kills = arena.times(10)
    for n in range(1, kills + 1):
        arena.wait_progress(0.9 * n / kills)
        server.kill()
        server.restart()
        began, ended = time.monotonic(), len(arena.trace.ended())
        wait_until(
            lambda seen=ended: len(arena.trace.ended()) > min(seen, arena.tasks - 1), 30, pause=0.02
        )
        took.append(time.monotonic() - began)
    arena.wait_done()

    # What a worker had leased and not yet marked may come back while its server is away.
    arena.count(dup=kills * 8)
    arena.findings.spread("recovered", took, 5.0)


@scenario("F15", ("postgres", "redis+postgres"))
def sessions_of_the_results_are_terminated(arena: Arena) -> None:
    """Sessions of the database of the results terminated every 0.5 s, then down for a while."""
    database = arena.servers[-1]
    arena.cluster()
    arena.send()
    is_over = threading.Event()
    thread = threading.Thread(target=_terminate, args=(database.url, is_over))
    thread.start()
    try:
        arena.wait_progress(0.6)
    finally:
        is_over.set()
        thread.join()
    database.kill()
    time.sleep(arena.times(50) / 5)  # the fault: it is away for so long
    database.restart()
    arena.wait_done()

    # A lease whose reply was cut off lapses, and is not a run.
    arena.count(dup=0)


def _terminate(url: str, is_over: threading.Event) -> None:
    statement = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND application_name <> 'faults' AND query LIKE '%django_q%'"
    )
    with psycopg.connect(url, autocommit=True, application_name="faults") as connection:
        while not is_over.wait(0.5):
            connection.execute(statement)


@scenario("F11", ("redis", "postgres", "sqs", "disque", "ironmq"))
def the_broker_appears_late(arena: Arena) -> None:
    """Broker absent at boot, appears after a minute."""
    connections.close_all()  # ours may go there as well
    for server in arena.servers:
        server.kill()
    cluster = arena.cluster(wait=False)
    time.sleep(max(10, arena.times(60)))  # the fault: it is away for so long
    arena.findings.holds("stays up", cluster.is_running)
    lines = len(cluster.log().splitlines())
    # Each process tells that it has gone, and that once a minute; not all find the same words.
    arena.findings.at_most("log lines", lines, 5 * (WORKERS + 2))
    for server in arena.servers:
        server.restart()
    with arena.noting_stalls():
        took = arena.first_start(lambda: arena.send(arena.tasks // 10), 40)
        arena.findings.at_most("first task", took, 35.0, " s")
    arena.wait_done()
    arena.count(dup=0)
