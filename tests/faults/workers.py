"""Processes that die or freeze: F1 to F7, F10."""

import signal
import time

from django_q.models import Task
from django_q.tasks import async_task
from tests.cluster.ground import lives, living
from tests.faults.arena import WORKERS, Arena
from tests.faults.scenario import scenario
from tests.waiting import wait_until

#: Soft limit and grace of the scenarios about time, in seconds.
LIMIT, GRACE = 2.0, 1.0


@scenario("F1")
def busy_workers_are_killed(arena: Arena) -> None:
    """kill -9 a busy worker, 50 times."""
    cluster, kills = arena.cluster(), arena.times(50)
    killed: list[int] = []
    took: list[float] = []

    def work() -> None:
        for n in range(1, kills + 1):
            arena.wait_progress(0.9 * n / kills)
            pid = arena.trace.newest_pid()
            if arena.kill(pid):
                killed.append(pid)
                took.append(arena.replaced_in(cluster, pid))

    arena.timed(work, 1.3)
    arena.findings.note("kills", len(killed))
    arena.count(dup=len(killed))
    arena.findings.spread("recovered", took, 1.0)
    arena.system.check_deaths(killed, arena.log(), arena.findings)


@scenario("F2")
def idle_workers_are_killed(arena: Arena) -> None:
    """kill -9 an idle worker, 50 times, then enqueue N."""
    cluster = arena.cluster()
    arena.system.connect()
    took = []
    with arena.noting_stalls():
        for _ in range(arena.times(50)):
            victim = arena.random.choice(arena.workers(cluster)).pid
            arena.kill(victim)
            took.append(arena.replaced_in(cluster, victim))

    with arena.noting_stalls():
        arena.findings.at_most("first start", arena.first_start(arena.send), 1.0, " s")
    arena.wait_done()

    arena.count(dup=0)
    arena.findings.spread("recovered", took, 1.0)


@scenario("F3")
def supervisors_are_killed(arena: Arena) -> None:
    """kill -9 the supervisor 10 times, restarted from outside."""
    cluster, kills = arena.cluster(), arena.times(10)
    gone: list[float] = []
    arena.send()
    for n in range(1, kills + 1):
        arena.wait_progress(0.9 * n / kills)
        family = cluster.family()
        arena.kill(cluster.pid)
        cluster.wait()
        began = time.monotonic()
        wait_until(lambda seen=family: not any(map(lives, seen)), 10, what="the orphans' end")
        gone.append(time.monotonic() - began)
        cluster = arena.cluster()
    arena.wait_done()

    arena.count(dup=kills * WORKERS)
    arena.findings.spread("orphans gone", gone, 2.0)


@scenario("F4")
def housekeepers_are_killed(arena: Arena) -> None:
    """kill -9 the housekeeper 20 times."""
    cluster, kills = arena.cluster(), arena.times(20)
    took = []
    arena.send()
    for n in range(1, kills + 1):
        arena.wait_progress(0.9 * n / kills)
        keeper = arena.housekeeper(cluster)
        if keeper is not None and arena.kill(keeper.pid):
            took.append(arena.replaced_in(cluster, keeper.pid))
    arena.wait_done()

    arena.count(dup=0)
    arena.findings.spread("recovered", took, 2.0)


@scenario("F5")
def whole_clusters_are_killed(arena: Arena) -> None:
    """SIGKILL the whole tree 10 times while a second cluster runs."""
    arena.cluster()
    first, kills = arena.cluster(), arena.times(10)
    arena.send()
    for n in range(1, kills + 1):
        arena.wait_progress(0.9 * n / kills)
        first.kill()
        if n < kills:
            first = arena.cluster()
    arena.wait_done()

    # What ran, and the outcomes that a worker settles in batches: those of 50 ms.
    arena.count(dup=10 * kills * WORKERS)


@scenario("F7")
def a_worker_is_frozen(arena: Arena) -> None:
    """SIGSTOP a worker for twice its time limit."""
    arena.settings |= {"timeout": LIMIT, "grace": GRACE}
    cluster = arena.cluster()
    arena.send(arena.tasks // 4)
    frozen = async_task("tests.site.tasks.record", arena.trace.path, "frozen", 60)
    pid = arena.trace.wait_start("frozen", limit=60)
    arena.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    arena.replaced_in(cluster, pid)
    took = time.monotonic() - began
    arena.send(arena.tasks // 4)
    arena.wait_done()

    arena.findings.at_most("killed after", took, LIMIT + GRACE + 1.0, " s")
    row = wait_until(lambda: Task.objects.filter(pk=frozen).first(), 20, what="its row")
    arena.findings.exactly("cause", row.cause, "timeout")
    started, ended = arena.trace.started(), arena.trace.ended()
    arena.findings.exactly("lost", 2 * (arena.tasks // 4) - len(ended), 0)
    arena.findings.exactly("frozen starts", started["frozen"], 1)


@scenario("F10")
def children_of_a_task_are_killed_with_it(arena: Arena) -> None:
    """A task starts children, then times out."""
    arena.settings |= {"timeout": LIMIT, "grace": GRACE}
    arena.cluster()
    path = arena.folder / "children"
    task_id = async_task("tests.site.odd.start_stubborn_children", str(path))
    wait_until(lambda: path.exists() and len(path.read_text().split()) == 2, 20)
    pids = [int(pid) for pid in path.read_text().split()]

    wait_until(lambda: Task.objects.filter(pk=task_id, success=False), 20, what="its row")

    wait_until(lambda: not living(pids), 5, what="the end of the children")
    arena.findings.exactly("children left", len(living(pids)), 0)
