"""A system that gives too few files and no processes: F34."""

import os
import resource
import time

import psutil

from django_q.models import Task
from django_q.tasks import async_task
from tests.cluster.ground import lives
from tests.faults.arena import WORKERS, Arena
from tests.faults.scenario import scenario
from tests.processes import ClusterProcess
from tests.waiting import wait_until

#: Files that each process may have open.
FILES = 64
#: Seconds for which a task keeps all of them.
HOARDED = 1.0
#: How often the system refuses to fork.
REFUSALS = 10
#: Processor seconds that a supervisor may use while it cannot start anything.
BUSY = 2.0


@scenario("F34")
def the_system_gives_no_files_and_no_processes(arena: Arena) -> None:
    """RLIMIT_NOFILE 64 with tasks that take all files; fork fails 10 times."""
    forks = arena.folder / "forks"
    os.environ.update(TEST_APPS="tests.site.forkless.ForklessConfig", TEST_FORKS=str(forks))
    try:
        cluster = arena.cluster(start_method="fork")
    finally:
        del os.environ["TEST_APPS"], os.environ["TEST_FORKS"]
    supervisor = psutil.Process(cluster.pid)
    for process in (supervisor, *cluster.children()):
        process.rlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    _hoard(arena)
    held = supervisor.num_fds()
    _kill_some(arena, cluster)
    arena.findings.at_most("files of the supervisor", supervisor.num_fds(), held + 2)

    busy = sum(supervisor.cpu_times()[:2])
    forks.write_text(str(REFUSALS))
    arena.send(arena.tasks // 2)
    victims = arena.workers(cluster)[:2]
    began = time.monotonic()
    for worker in victims:
        arena.kill(worker.pid)
    wait_until(lambda: forks.read_text() == "0", 120, pause=0.1, what="all refusals")
    took = time.monotonic() - began
    wait_until(lambda: _count(cluster) == WORKERS + 1, 60, pause=0.1, what="all children")
    arena.wait_done()

    arena.findings.at_most("files after the refusals", supervisor.num_fds(), held + 2)
    arena.findings.at_most("processor", sum(supervisor.cpu_times()[:2]) - busy, BUSY, " s")
    arena.findings.at_least("backed off over", took, 3.0, " s")
    told = cluster.log().count("cannot be started: ")
    arena.findings.exactly("refusals told", told, REFUSALS)
    # What the killed workers ran.
    arena.count(dup=arena.times(10) + len(victims))


def _hoard(arena: Arena) -> None:
    """Let tasks take all files of their workers, while good ones run."""
    path = str(arena.folder / "hoards")
    ids = []
    for n in range(arena.times(10)):
        ids.append(async_task("tests.site.odd.hoard_files", path, n, HOARDED))
        arena.send(arena.tasks // 2 // arena.times(10))
    arena.wait_done()
    rows = Task.objects.filter(pk__in=ids, success=True)
    wait_until(lambda: rows.count() == len(ids), 30, what="all hoards")
    arena.findings.holds("files were short", all(0 < row.result < FILES for row in rows))


def _kill_some(arena: Arena, cluster: ClusterProcess) -> None:
    """Let workers be replaced again and again: each start takes files, and must give them back."""
    for _ in range(arena.times(10)):
        victim = arena.random.choice(arena.workers(cluster)).pid
        arena.kill(victim)
        arena.replaced_in(cluster, victim)


def _count(cluster: ClusterProcess) -> int:
    return sum(lives(child) for child in cluster.children())
