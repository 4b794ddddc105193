"""Threads and coroutines: one worker has many tasks side by side, and keeps every promise."""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from django_q.brokers import get_broker
from django_q.models import Ledger, Task
from django_q.tasks import async_task, async_tasks
from tests.cluster.ground import (
    LONG,
    RETRY,
    every_start_method,
    on,
    on_all_when_long,
    stat_of,
    wait_children,
    wait_empty,
    wait_rows,
    wait_task,
)
from tests.cluster.trace import Trace
from tests.processes import ClusterProcess
from tests.waiting import wait_until

Start = Callable[..., Any]

SITE = "tests.site.side_by_side"
THREADS = {"threads": 16}
COROUTINES = {"async_concurrency": 100}
#: A function that waits 50 ms, for each kind.
WAITING = {"threads": "tests.site.tasks.sleep", "coroutines": f"{SITE}.doze"}
RECORDING = {"threads": "tests.site.tasks.record", "coroutines": f"{SITE}.record_dozing"}

both = pytest.mark.parametrize("kind", ["threads", "coroutines"])


def settings_of(kind: str) -> dict[str, int]:
    return THREADS if kind == "threads" else COROUTINES


# Speed.


@pytest.mark.parametrize(
    ("kind", "places", "allowed"), [("threads", 16, 1.3), ("coroutines", 100, 1.5)]
)
@on_all_when_long("redis", "postgres")
def test_tasks_that_wait_do_so_together(
    kind: str, places: int, allowed: float, place: dict[str, Any], q_cluster: Start, cluster: Start
) -> None:
    """The promise, with 2,000 tasks on a quiet machine; here fewer, on one that may be busy."""
    count, air = (2000, 0.0) if LONG else (500, 2.0)
    q_cluster(**place, workers=2, save_limit=0, **settings_of(kind))
    started = cluster()
    pids = [child.pid for child in started.children()]
    for pid in pids:  # all wait when the clock starts
        os.kill(pid, signal.SIGSTOP)
    async_tasks(WAITING[kind], [(0.05,)] * count)
    broker = get_broker()

    began = time.monotonic()
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: broker.queue_size() == 0, 60, pause=0.005, what="the last start")
    wait_until(lambda: not broker.lock_size(), 60, pause=0.005, what="the last end")
    took = time.monotonic() - began

    assert Task.objects.filter(success=True).count() == count
    ideal = count * 0.05 / (2 * places)
    print(f"{took:.2f} s, {took / ideal:.2f} times the ideal")
    assert took <= allowed * ideal + air


# Kills.


@pytest.mark.parametrize("kind", ["threads", *(["coroutines"] if LONG else [])])
@on("redis")
def test_a_killed_worker_repeats_only_what_ran_in_threads(
    kind: str, place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(**place, workers=2, retry=RETRY, save_limit=0, max_deaths=10, **places_of(kind, 16))

    kill_while_they_run(kind, cluster(), trace, 16)


@pytest.mark.parametrize("kind", ["coroutines", *(["threads"] if LONG else [])])
@on("postgres")
def test_a_killed_worker_repeats_only_what_ran_on_its_loop(
    kind: str, place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(**place, workers=2, retry=RETRY, save_limit=0, max_deaths=10, **places_of(kind, 16))

    kill_while_they_run(kind, cluster(), trace, 16)


def places_of(kind: str, count: int) -> dict[str, int]:
    return {"threads" if kind == "threads" else "async_concurrency": count}


def kill_while_they_run(kind: str, started: ClusterProcess, trace: Trace, places: int) -> None:
    count, kills = (2000, 5) if LONG else (400, 2)
    async_tasks(RECORDING[kind], [(trace.path, n, 0.05) for n in range(count)])

    for n in range(1, kills + 1):
        target = n * count // (kills + 2)
        wait_until(lambda target=target: len(trace.ended()) >= target, 30, what="progress")
        victim = trace.newest_pid()
        os.kill(victim, signal.SIGKILL)
        wait_children(started, 3, without=victim, limit=10)

    wait_rows(count, success=True)
    wait_empty(RETRY / 2)
    assert len(trace.ended()) == count
    assert trace.started().total() - count <= kills * places
    wait_until(lambda: not Ledger.objects.exists(), what="an empty ledger")


@pytest.mark.parametrize("kind", ["threads", *(["coroutines"] if LONG else [])])
def test_what_kills_its_worker_does_so_alone_the_next_time(
    kind: str, database: str, redis_url: str, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(redis=redis_url, workers=1, retry=RETRY, save_limit=0, **settings_of(kind))
    cluster()
    async_tasks(RECORDING[kind], [(trace.path, n, 0.3) for n in range(5)])
    trace.wait_start(0)

    killer = async_task("tests.site.tasks.kill_self")
    more = async_tasks(WAITING[kind], [(0.01,)] * 100)

    assert "ended its worker 3 times" in wait_task(killer, 20).result
    wait_rows(100, pk__in=more, success=True)
    wait_empty(RETRY / 2)
    # Only those beside its first death were begun again, once.
    assert max(trace.started().values()) <= 2
    assert Task.objects.filter(success=False).count() == 1


# Limits.


@every_start_method
def test_soft_limits_end_what_runs_in_threads(
    database: str, redis_url: str, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(redis=redis_url, workers=1, timeout=0.3, grace=20, **THREADS)
    cluster()
    before = wait_task(async_task("tests.site.tasks.process")).result

    late = async_tasks(f"{SITE}.step", [(60_000,)] * 5)
    polite = async_task(f"{SITE}.step_politely", trace.path)
    quick = async_tasks("tests.site.tasks.add", [(n, 1) for n in range(50)])

    wait_rows(5, pk__in=late, success=False)
    assert_late(late)
    assert wait_task(polite).result == "in the end"
    wait_rows(50, pk__in=quick, success=True)
    assert wait_task(async_task("tests.site.tasks.process")).result == before


def assert_late(ids: list[str]) -> None:
    for row in Task.objects.filter(pk__in=ids):
        assert row.result.startswith("The task ran longer than its limit of 0.3 s : Traceback")
        assert row.cause == "timeout"


@on("postgres")
def test_soft_limits_cancel_coroutines(
    place: dict[str, Any], q_cluster: Start, cluster: Start
) -> None:
    q_cluster(**place, workers=1, timeout=0.3, grace=20, **COROUTINES)
    cluster()

    late = async_tasks(f"{SITE}.doze", [(600,)] * 50)
    quick = async_tasks(f"{SITE}.doze", [(0.01,)] * 50)

    wait_rows(50, pk__in=late, success=False)
    assert_late(late)
    wait_rows(50, pk__in=quick, success=True)


@pytest.mark.parametrize(
    ("kind", "func", "args"),
    [("threads", "tests.site.tasks.sleep", (600,)), ("coroutines", f"{SITE}.doze_deaf", ())],
)
def test_a_hard_limit_costs_the_others_nothing_but_time(
    kind: str,
    func: str,
    args: tuple[Any, ...],
    database: str,
    redis_url: str,
    q_cluster: Start,
    cluster: Start,
    trace: Trace,
) -> None:
    q_cluster(redis=redis_url, workers=1, retry=RETRY, grace=0.2, **settings_of(kind))
    started: ClusterProcess = cluster()
    stubborn = async_task(func, *args, timeout=0.3)
    others = async_tasks(RECORDING[kind], [(trace.path, n, 1.5) for n in range(5)])

    assert "its hard limit of 0.5 s" in wait_task(stubborn, 10).result
    wait_rows(5, 10, pk__in=others, success=True)
    assert trace.started().total() > 5
    assert not Ledger.objects.exclude(deaths=0).exists()
    assert started.log().count("died (hard limit)") == 1


# Ends.


@both
@pytest.mark.parametrize("is_patient", [True, False], ids=["patient", "impatient"])
def test_a_stop_is_bounded_whatever_runs(
    kind: str,
    is_patient: bool,
    database: str,
    redis_url: str,
    q_cluster: Start,
    cluster: Start,
    trace: Trace,
) -> None:
    timeout, seconds = (10, 0.5) if is_patient else (1, 600)
    q_cluster(redis=redis_url, workers=1, shutdown_timeout=timeout, **settings_of(kind))
    started: ClusterProcess = cluster()
    async_tasks(RECORDING[kind], [(trace.path, n, seconds) for n in range(300)])
    trace.wait_start(9)

    began = time.monotonic()
    assert started.stop() == 0

    assert time.monotonic() - began < timeout + 3
    broker, begun = get_broker(), trace.started().total()
    assert not broker.lock_size()
    assert broker.queue_size() == 300 - (begun if is_patient else 0)
    assert trace.ended().total() == (begun if is_patient else 0)
    assert not Ledger.objects.exists()


def test_run_once_waits_for_all(
    database: str, redis_url: str, q_cluster: Start, cluster: Start
) -> None:
    q_cluster(redis=redis_url, workers=1, guard_cycle=0.1, save_limit=0, **THREADS, **COROUTINES)
    for func in WAITING.values():
        async_tasks(func, [(0.01,)] * 50 + [(1.0,)])

    assert cluster("--run-once", wait=False).wait(20) == 0

    assert Task.objects.filter(success=True).count() == 102


@every_start_method
def test_a_spent_worker_lets_its_tasks_end(
    database: str, redis_url: str, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(redis=redis_url, workers=1, recycle=40, save_limit=0, **THREADS, **COROUTINES)
    started: ClusterProcess = cluster()
    first = stat_of(started).workers[0]

    for kind, func in RECORDING.items():
        async_tasks(func, [(trace.path, f"{kind}{n}", 0.02) for n in range(50)])

    wait_rows(100, success=True)
    wait_empty()
    assert trace.started() == trace.ended()
    assert set(trace.started().values()) == {1}
    wait_until(
        lambda: first not in {child.pid for child in started.children()}, what="its successor"
    )
