"""`kill -9` of any process at any moment: nothing is lost, and at most what ran runs again."""

import os
import random
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from django_q.brokers import get_broker
from django_q.models import Ledger, Task
from django_q.tasks import async_task, async_tasks
from tests.cluster.ground import (
    AT_ONCE,
    LONG,
    ORPHANS_GONE,
    RETRY,
    is_empty,
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

#: Tasks in a drain, and how long each takes.
TASKS = 2000
PACE = 0.002
#: A whole drain takes some five seconds; so does one that waits for no lapse, with air.
IN_TIME = RETRY / 2

Start = Callable[..., Any]


def send_drain(trace: Trace) -> None:
    async_tasks("tests.site.tasks.record", [(trace.path, n, PACE) for n in range(TASKS)])


def wait_progress(trace: Trace, count: int) -> None:
    wait_until(lambda: len(trace.ended()) >= count, 20, pause=0.1, what=f"{count} ends")


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def assert_nothing_lost(trace: Trace, kills: int) -> None:
    """Every task has run, and each kill made at most one of them start again."""
    wait_empty(IN_TIME)
    wait_rows(TASKS, success=True)
    started, ended = trace.started(), trace.ended()
    assert len(ended) == TASKS
    assert started.total() - TASKS <= kills
    assert get_broker().lock_size() == 0
    wait_until(lambda: not Ledger.objects.exists(), what="an empty ledger")


@on("redis", "postgres")
def test_killed_workers_idle_and_busy_lose_nothing(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(**place, workers=2, retry=RETRY, save_limit=0)
    started: ClusterProcess = cluster()
    idle = stat_of(started).workers[0]
    kill(idle)
    assert wait_children(started, 3, without=idle, limit=10) < AT_ONCE
    send_drain(trace)

    kills = 5
    for n in range(1, kills + 1):
        wait_progress(trace, n * TASKS // 10)
        victim = trace.newest_pid()
        kill(victim)
        assert wait_children(started, 3, without=victim, limit=10) < AT_ONCE

    assert_nothing_lost(trace, kills)
    assert started.stop() == 0


@on("redis", "postgres")
def test_a_killed_housekeeper_loses_nothing(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(**place, workers=2, retry=RETRY, save_limit=0)
    started: ClusterProcess = cluster()
    housekeeper = stat_of(started).housekeeper
    send_drain(trace)
    wait_progress(trace, TASKS // 10)

    # With a worker that it will not bury any more.
    kill(housekeeper)
    victim = trace.newest_pid()
    kill(victim)

    assert wait_children(started, 3, without=housekeeper, limit=10) < AT_ONCE
    assert_nothing_lost(trace, kills=1)
    assert stat_of(started).housekeeper != housekeeper
    assert started.stop() == 0


@on("redis", "postgres")
def test_a_killed_supervisor_takes_all_with_it_and_loses_nothing(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(**place, workers=2, retry=RETRY, save_limit=0)
    first: ClusterProcess = cluster()
    send_drain(trace)
    wait_progress(trace, TASKS // 5)
    family = first.family()

    kill(first.pid)
    began = time.monotonic()
    first.wait()
    wait_until(lambda: not first.family(), 10, what="the end of the orphans")

    assert len(family) >= 4  # with what start methods have beside them
    assert time.monotonic() - began < ORPHANS_GONE
    second = cluster()
    assert_nothing_lost(trace, kills=2)
    assert second.stop() == 0


@on_all_when_long("redis", "postgres")
def test_a_killed_cluster_is_survived_by_another(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    """The whole machine is gone: nobody sees it, so its leases have to lapse."""
    q_cluster(**place, workers=2, retry=3, save_limit=0)
    first: ClusterProcess = cluster()
    send_drain(trace)
    wait_progress(trace, TASKS // 5)

    first.kill()
    cluster()

    wait_empty(IN_TIME)
    wait_rows(TASKS, success=True)
    assert len(trace.ended()) == TASKS
    # Two ran; and what they had finished is settled in batches, which a machine takes with it.
    assert trace.started().total() - TASKS <= 2 * 100


def test_the_worker_that_dies_before_it_worked_is_replaced_each_time(
    database: str, redis_url: str, q_cluster: Start, cluster: Start
) -> None:
    q_cluster(redis=redis_url, workers=1, retry=RETRY)
    started: ClusterProcess = cluster()

    for _ in range(20 if LONG else 4):
        victim = next(
            child.pid for child in started.children() if child.pid != stat_of(started).housekeeper
        )
        kill(victim)
        wait_children(started, 2, without=victim, limit=10)

    task_id = async_task("tests.site.tasks.add", 1, 2)
    assert wait_task(task_id).result == 3


def test_nothing_that_was_finished_is_lost_with_its_worker(
    database: str, redis_url: str, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    """The outcomes that a worker has not settled yet stand in shared memory."""
    q_cluster(redis=redis_url, workers=1, retry=RETRY, save_limit=0)
    started: ClusterProcess = cluster()
    hook = "tests.site.tasks.write_hook"

    rounds = 20 if LONG else 6
    for n in range(rounds):
        # All of a batch are quick but the last, which dies: at once behind them.
        async_tasks("tests.site.tasks.record", [(trace.path, f"{n}.{i}") for i in range(20)])
        async_task("tests.site.tasks.kill_self", hook=hook)

    wait_rows(rounds, func="tests.site.tasks.kill_self", success=False)
    wait_empty(IN_TIME)
    assert set(trace.started().values()) == {1}
    assert Task.objects.filter(success=True).count() == rounds * 20
    assert started.stop() == 0


@pytest.mark.skipif(not LONG, reason="takes two minutes: LONG=1")
@pytest.mark.parametrize(("count", "pace"), [(30_000, 0.0), (6_000, 0.002)])
@on("redis", "postgres", "sqlite", "mariadb")
def test_kills_at_random_lose_nothing(
    place: dict[str, Any], count: int, pace: float, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(**place, workers=2, retry=RETRY, save_limit=0)
    started: ClusterProcess = cluster()
    async_tasks("tests.site.tasks.record", [(trace.path, n, pace) for n in range(count)])
    broker, kills = get_broker(), 0

    while not is_empty(broker):
        time.sleep(random.uniform(0.05, 0.4))
        if kills < 60 and (children := started.children()):
            random.choice(children).kill()
            kills += 1

    wait_rows(count, success=True)
    assert len(trace.ended()) == count
    assert trace.started().total() - count <= kills
