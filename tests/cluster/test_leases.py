"""Leases are renewed while their task waits and runs, so `retry` and `timeout` are not related."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_q.brokers import get_broker
from django_q.models import Task
from django_q.status import WorkerState
from django_q.tasks import async_task, async_tasks
from tests.cluster.ground import (
    LONG,
    RETRY,
    freeze,
    on,
    on_all_when_long,
    stat_of,
    wait_empty,
    wait_rows,
    wait_task,
)
from tests.cluster.trace import Trace
from tests.waiting import wait_until

#: A lease lapses after this, unless somebody renews it; and a task takes so long.
SHORT_RETRY = 3
TAKES = 12 if LONG else 7

Start = Callable[..., Any]


@on("redis", "postgres", "sqlite", *(["mariadb"] if LONG else []))
def test_tasks_longer_than_retry_run_once(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    """Sleeping, and holding the interpreter so that the clerk beside it cannot run at all."""
    q_cluster(**place, workers=1, retry=SHORT_RETRY, save_limit=0)
    first, _ = cluster(), cluster()
    sleeping = async_task("tests.site.tasks.record", trace.path, "sleeping", TAKES)
    trace.wait_start("sleeping")
    holding = async_task("tests.site.odd.record_holding", trace.path, "holding", TAKES)
    trace.wait_start("holding")

    # Somebody is there who would take what lapses.
    cluster()
    quick = async_tasks("tests.site.tasks.record", [(trace.path, n) for n in range(20)])
    wait_rows(20, 4, pk__in=quick)
    assert wait_task(sleeping, TAKES + 10).success
    assert wait_task(holding, 3 * TAKES + 10).success

    wait_empty()
    assert set(trace.started().values()) == {1}
    assert "ran twice" not in first.log()


def test_what_waits_behind_a_task_that_holds_the_interpreter_goes_on_elsewhere(
    database: str, redis_url: str, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(redis=redis_url, workers=1, retry=RETRY)
    async_tasks("tests.site.tasks.record", [(trace.path, n) for n in range(30)])
    holding = async_task("tests.site.odd.record_holding", trace.path, "holding", 10)
    async_tasks("tests.site.tasks.record", [(trace.path, n) for n in range(30, 60)])
    cluster()
    trace.wait_start("holding")

    cluster()

    trace.wait_ends(60, 9)
    assert not trace.ended()["holding"]
    assert wait_task(holding, 30).success
    wait_empty()
    assert set(trace.started().values()) == {1}


@on_all_when_long("redis", "postgres")
def test_a_frozen_worker_loses_its_task_and_the_first_success_stands(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    """A machine that wakes up late: nobody can exclude that its task runs twice."""
    q_cluster(**place, workers=1, retry=1, save_limit=0)
    frozen = cluster()
    task_id = async_task("tests.site.tasks.record", trace.path, "a", 0.5, task_name="doubled")
    trace.wait_start("a")
    family = freeze(frozen)

    other = cluster()

    row = wait_task(task_id)
    assert trace.started()["a"] == 2
    for process in family:
        process.resume()
    frozen.wait_log("ran twice: the first success stands")
    wait_empty()
    assert Task.objects.get(pk=task_id).stopped == row.stopped
    assert other.stop() == 0
    assert frozen.stop() == 0


def test_a_lost_lease_is_counted_until_the_task_fails(
    database: str, redis_url: str, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    """Whole machines that go away: after `max_lost` lapses the task fails, visibly."""
    q_cluster(redis=redis_url, workers=1, retry=0.2, max_lost=2)
    task_id = async_task("tests.site.tasks.record", trace.path, "a", 600)

    for n in range(3):
        doomed = cluster()
        trace.wait_start("a", n + 1)
        doomed.kill()
    cluster()

    row = wait_task(task_id)
    assert not row.success
    assert "lost 3 times" in row.result
    assert trace.started()["a"] == 3


@pytest.mark.alone
@on("redis", "postgres")
def test_slow_tasks_that_come_together_start_together(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    """Nobody leases ahead what another worker could begin now."""
    q_cluster(**place, workers=4, retry=RETRY)
    cluster()

    for n in range(2):
        async_tasks("tests.site.tasks.record", [(trace.path, f"{n}.{i}", 1.5) for i in range(4)])
        wait_until(lambda n=n: len(trace.started()) == 4 * (n + 1), 1.2, what="four starts")
        wait_empty()


def test_waiting_packages_are_given_back_behind_a_slow_task(
    database: str, redis_url: str, q_cluster: Start, cluster: Start, trace: Trace, tmp_path: Path
) -> None:
    q_cluster(redis=redis_url, workers=2, retry=RETRY, save_limit=0)
    gate = tmp_path / "gate"
    cluster()
    async_tasks("tests.site.tasks.record", [(trace.path, n) for n in range(100)])
    async_task("tests.site.tasks.hold", trace.path, "slow", str(gate))
    async_tasks("tests.site.tasks.record", [(trace.path, n) for n in range(100, 200)])

    trace.wait_ends(200)

    assert not trace.ended()["slow"]
    gate.touch()
    wait_empty()
    assert set(trace.started().values()) == {1}


def _age(state: WorkerState) -> float:
    since = state.get("since")
    return time.time() - since if since else 0.0


def test_a_stopped_process_is_no_dead_one(
    database: str, redis_url: str, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    """A worker that is paused for a while loses what waits, not what runs."""
    q_cluster(redis=redis_url, workers=1, retry=RETRY, save_limit=0)
    started = cluster()
    (worker,) = stat_of(started).workers
    task_id = async_task("tests.site.tasks.record", trace.path, "a", 3)
    # Its clerk asks for more while the task is young; not any more when the heartbeat tells of it.
    wait_until(lambda: str(stat_of(started).status) == "Working")
    wait_until(lambda: any(_age(state) > 0.5 for state in stat_of(started).worker_states))

    os.kill(worker, signal.SIGSTOP)
    waiting = async_task("tests.site.tasks.record", trace.path, "b")
    other = cluster()
    assert wait_task(waiting)
    os.kill(worker, signal.SIGCONT)

    assert wait_task(task_id).success
    wait_until(lambda: get_broker().lock_size() == 0)
    assert set(trace.started().values()) == {1}
    assert (started.stop(), other.stop()) == (0, 0)
