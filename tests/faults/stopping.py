"""The end of a cluster: F21 to F23."""

import contextlib
import signal
import subprocess
import time

from django_q.tasks import async_tasks
from tests.cluster.ground import is_empty
from tests.faults.arena import WORKERS, Arena
from tests.faults.scenario import NETWORKED, scenario
from tests.processes import ClusterProcess
from tests.waiting import wait_until

#: Seconds that running tasks have when a cluster stops.
TIMEOUT = 6


@scenario("F21")
def a_stop_lets_running_tasks_end(arena: Arena) -> None:
    """SIGTERM with tasks of 3 s running and waiting."""
    cluster = arena.cluster(shutdown_timeout=TIMEOUT)
    calls = [(arena.trace.path, n, 3.0) for n in range(10 * WORKERS)]
    async_tasks("tests.site.tasks.record", calls)
    wait_until(lambda: len(arena.trace.lines("start")) >= WORKERS, 20, what="running tasks")

    began = time.monotonic()
    cluster.popen.send_signal(signal.SIGTERM)
    waiting = 10 * WORKERS - len(arena.trace.started())
    wait_until(lambda: arena.broker.queue_size() >= waiting, 20, pause=0.02, what="what waited")
    visible = time.monotonic() - began
    code = cluster.wait(TIMEOUT + 10)

    arena.findings.exactly("exit code", code, 0)
    arena.findings.at_most("stopped in", time.monotonic() - began, TIMEOUT + 1.0, " s")
    arena.findings.at_most("visible in", visible, 1.0, " s")
    started, ended = arena.trace.started(), arena.trace.ended()
    arena.findings.exactly("dup", started.total() - len(started), 0)
    arena.findings.exactly("cut off", len(started) - len(ended), 0)


@scenario("F22")
def every_stop_ends(arena: Arena) -> None:
    """SIGTERM to the process group; SIGINT; twice; during boot."""
    ways = {
        "group": lambda c: c.signal_group(signal.SIGTERM),
        "interrupt": lambda c: c.signal_group(signal.SIGINT),
        "twice": lambda c: (
            c.popen.send_signal(signal.SIGTERM),
            c.popen.send_signal(signal.SIGTERM),
        ),
    }
    arena.send(arena.tasks // 4)
    for name, stop in ways.items():
        cluster = arena.cluster(shutdown_timeout=TIMEOUT)
        began = time.monotonic()
        stop(cluster)
        _see_off(arena, cluster, name, began)
    booting = arena.cluster(wait=False, shutdown_timeout=TIMEOUT)
    time.sleep(arena.random.uniform(0.05, 0.6))  # the very fault: at any moment of its boot
    began = time.monotonic()
    booting.signal_group(signal.SIGTERM)
    _see_off(arena, booting, "during boot", began)

    arena.cluster()
    arena.wait_done()
    # A second signal means now: what ran goes back and runs again.
    arena.count(dup=WORKERS)


@scenario("F22b", NETWORKED)
def a_stop_ends_without_servers(arena: Arena) -> None:
    """SIGTERM while broker and database are frozen: connections stay open, nothing is answered."""
    arena.send(arena.tasks // 4)
    cluster = arena.cluster(shutdown_timeout=TIMEOUT)
    for server in arena.servers:
        server.pause()
    try:
        began = time.monotonic()
        cluster.popen.send_signal(signal.SIGTERM)
        _see_off(arena, cluster, "servers frozen", began)
    finally:
        for server in arena.servers:
            server.resume()
    arena.cluster()
    arena.wait_done()
    # What ran may have lost its lease, or could not settle.
    arena.count(dup=10 * WORKERS)


def _see_off(arena: Arena, cluster: ClusterProcess, name: str, began: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        cluster.wait(TIMEOUT + 10)
    arena.findings.at_most(name, time.monotonic() - began, TIMEOUT + 5.0, " s")
    with arena.noting_stalls():
        arena.wait_for(lambda: not cluster.family(), 5, f"{name}: not all have ended")
    cluster.kill()


@scenario("F23")
def tasks_that_are_too_long_go_on_elsewhere(arena: Arena) -> None:
    """Tasks longer than shutdown_timeout at SIGTERM."""
    first = arena.cluster(shutdown_timeout=1)
    calls = [(arena.trace.path, n, 12.0) for n in range(WORKERS)]
    async_tasks("tests.site.tasks.record", calls)
    wait_until(lambda: len(arena.trace.lines("start")) == WORKERS, 20, what="running tasks")
    arena.cluster()

    began = time.monotonic()
    first.popen.send_signal(signal.SIGTERM)
    first.wait(20)
    arena.findings.at_most("stopped in", time.monotonic() - began, 3.0, " s")
    wait_until(lambda: arena.trace.started().total() == 2 * WORKERS, 10, what="new starts")
    arena.findings.at_most("started elsewhere in", time.monotonic() - began, 5.0, " s")
    wait_until(lambda: len(arena.trace.ended()) == WORKERS, 30, what="the ends")
    wait_until(lambda: is_empty(arena.broker), 20, what="an empty queue")
    arena.findings.exactly("ended", len(arena.trace.ended()), WORKERS)
