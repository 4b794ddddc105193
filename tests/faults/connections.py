"""The database connection that tasks use: F16."""

import os

import psycopg

from django_q.models import Task
from django_q.tasks import async_tasks
from tests.cluster.ground import is_empty
from tests.faults.arena import WORKERS, Arena
from tests.faults.scenario import scenario
from tests.site import databases
from tests.waiting import wait_until

QUERY = "tests.site.odd.query_twice"
#: Seconds of a task whose connection is cut, and of the others.
LONG, SHORT = 1.0, 0.02


@scenario("F16", ("postgres", "redis+postgres"))
def connections_of_tasks_are_cut(arena: Arena) -> None:
    """The task's own database connection killed in and between tasks, CONN_MAX_AGE 600."""
    os.environ[databases.AGE] = "600"
    try:
        cluster = arena.cluster()
    finally:
        del os.environ[databases.AGE]
    hit = _cut_in_tasks(arena)
    cut = _cut_between_tasks(arena)

    failed = {row.args[1] for row in Task.objects.filter(success=False)}
    tokens = arena.trace.started()
    arena.findings.exactly("hit and failed", len(failed & hit), len(hit))
    arena.findings.at_least("cut between tasks", cut, 1)
    arena.findings.exactly("others failed", len(failed - hit), 0)
    arena.findings.exactly("lost", len(tokens) - Task.objects.count(), 0)
    arena.findings.exactly("dup", tokens.total() - len(tokens), 0)
    arena.findings.exactly("deaths", cluster.log().count("] died ("), 0)


def _cut_in_tasks(arena: Arena) -> set[str]:
    """Cut the connections of some tasks while they run; which."""
    hit = set()
    for n in range(arena.times(50)):
        token = f"long{n}"
        _send(arena, [token], LONG)
        _send(arena, [f"beside{n}-{m}" for m in range(10)], SHORT)
        wait_until(lambda t=token: t in _backends(arena), 20, what="its connection")
        _terminate(arena, {_backends(arena)[token]})
        hit.add(token)
    _wait_settled(arena)
    return hit


def _cut_between_tasks(arena: Arena) -> int:
    """Cut all connections of tasks while none runs, again and again; how many were cut."""
    cut = 0
    for n in range(arena.times(50) + 1):
        if n:
            cut += _terminate(arena, set(_backends(arena).values()))
        _send(arena, [f"after{n}-{m}" for m in range(4 * WORKERS)], SHORT)
        _wait_settled(arena)
    return cut


def _send(arena: Arena, tokens: list[str], seconds: float) -> None:
    async_tasks(QUERY, [(arena.trace.path, token, seconds) for token in tokens])


def _backends(arena: Arena) -> dict[str, int]:
    """Token -> pid of the server's process that it was connected to."""
    return {token: int(pid) for token, pid in arena.trace.lines("backend")}


def _wait_settled(arena: Arena) -> None:
    broker = arena.broker
    wait_until(lambda: is_empty(broker), 60, pause=0.05, what="an empty queue")


def _terminate(arena: Arena, pids: set[int]) -> int:
    """Cut these connections and wait for their ends; how many of them were still there."""
    statement = (
        "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE pid = ANY(%s)"
    )
    with psycopg.connect(arena.servers[-1].url, autocommit=True) as connection:
        row = connection.execute(statement, [list(pids)]).fetchone()
    return int(row[0]) if row else 0
