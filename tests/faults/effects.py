"""Effects that are to come exactly once, of tasks with `atomic`: E1 to E3."""

import contextlib
import random
import threading
from collections.abc import Iterator
from typing import Any

import psutil
import psycopg
from django.db import connections, router

from django_q.models import Task
from django_q.tasks import async_tasks
from tests.faults.arena import LONGEST, SHORTEST, WORKERS, Arena
from tests.faults.scenario import scenario
from tests.processes import ClusterProcess
from tests.site.effects import effects
from tests.waiting import wait_until

SITE = "tests.site.effects"


@scenario("E1", ("postgres", "mariadb", "sqlite"))
def workers_with_effects_are_killed(arena: Arena) -> None:
    """kill -9 a busy worker, 50 times: each effect once."""
    cluster, kills = arena.cluster(), arena.times(50)
    killed = 0
    _send(arena)
    for n in range(1, kills + 1):
        _wait_ends(arena, int(0.9 * arena.tasks * n / kills))
        pid = arena.trace.newest_pid()
        if arena.kill(pid):
            killed += 1
            arena.replaced_in(cluster, pid)

    _count(arena)
    runs = arena.trace.started().total()
    arena.findings.at_most("runs again", runs - arena.tasks, killed)


@scenario("E2", ("postgres", "mariadb"))
def clusters_with_effects_are_frozen(arena: Arena) -> None:
    """SIGSTOP a whole cluster beyond its leases, 10 times, while another one runs."""
    # What is written in SQLite keeps everybody else out: there nothing can be taken over.
    arena.settings |= {"retry": 2}
    first, freezes = arena.cluster(), arena.times(10)
    arena.cluster()
    for n in range(freezes):
        begin, end = n * arena.tasks // freezes, (n + 1) * arena.tasks // freezes
        _send(arena, range(begin, end))
        _wait_ends(arena, (begin + end) // 2)
        with _frozen(first), contextlib.suppress(AssertionError):
            # What ran there comes last, when its lease has lapsed; or when it goes on, if it was
            # frozen in a transaction that holds a package.
            _wait_ends(arena, end, limit=15)

    _count(arena)
    late = arena.log().count("lost its lease while it ran")
    arena.findings.at_most("runs rolled back", late, freezes * WORKERS)


@scenario("E3", ("postgres",))
def sessions_with_effects_are_terminated(arena: Arena) -> None:
    """One session of the database terminated every 0.1 s: in a task, at its commit, between."""
    arena.cluster()
    _send(arena, max_attempts=100, retry_delay=0.1, backoff=1)
    is_over = threading.Event()
    arguments = (arena.servers[-1].url, is_over, random.Random(arena.findings.seed))
    thread = threading.Thread(target=_terminate, args=arguments)
    thread.start()
    try:
        _wait_ends(arena, int(0.9 * arena.tasks))
    finally:
        is_over.set()
        thread.join()
    connections[router.db_for_read(Task)].close()

    _count(arena)


def _send(arena: Arena, numbers: range | None = None, **options: Any) -> None:
    """Enqueue tasks with an effect, each of which is followed by one that has an effect too."""
    numbers = range(arena.tasks) if numbers is None else numbers
    calls = [(arena.trace.path, n, arena.random.uniform(SHORTEST, LONGEST)) for n in numbers]
    options["atomic"] = True
    follower = (f"{SITE}.follow", (), {"q_options": options})
    async_tasks(f"{SITE}.record", calls, on_success=follower, **options)


def _wait_ends(arena: Arena, count: int, limit: float = 240.0) -> None:
    wait_until(lambda: len(arena.trace.ended()) >= count, limit, pause=0.05, what="progress")


def _count(arena: Arena) -> None:
    """Wait for the end, and count: of each task and of its follower one effect and one success."""
    successes = Task.objects.filter(success=True)
    limit = 240 + arena.tasks / 10  # each connects anew
    wait_until(lambda: successes.count() >= 2 * arena.tasks, limit, pause=0.1, what="all results")
    found = effects()
    wanted = {str(n) for n in range(arena.tasks)}
    wanted |= {f"after {token}" for token in wanted}
    arena.findings.exactly("effects", found.total(), 2 * arena.tasks)
    arena.findings.exactly("double", found.total() - len(found), 0)
    arena.findings.exactly("missing", len(wanted - found.keys()), 0)
    arena.findings.exactly("results", successes.count(), 2 * arena.tasks)
    arena.findings.exactly("failures", Task.objects.filter(success=False).count(), 0)


@contextlib.contextmanager
def _frozen(cluster: ClusterProcess) -> Iterator[None]:
    """Stop all processes of a cluster for the block, as those of a machine that is frozen."""
    family = [psutil.Process(cluster.pid), *cluster.children()]
    for process in family:
        process.suspend()
    try:
        yield
    finally:
        for process in reversed(family):
            process.resume()


def _terminate(url: str, is_over: threading.Event, chance: random.Random) -> None:
    victims = (
        "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
        "AND application_name <> 'faults' AND backend_type = 'client backend' ORDER BY pid"
    )
    with psycopg.connect(url, autocommit=True, application_name="faults") as connection:
        while not is_over.wait(0.1):
            pids = [pid for (pid,) in connection.execute(victims)]
            if pids:
                connection.execute("SELECT pg_terminate_backend(%s)", [chance.choice(pids)])
