"""The supervisor is killed: its children see that, give their work back and leave."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_q.brokers import get_broker
from django_q.tasks import async_task, async_tasks
from tests.cluster.ground import (
    AIR,
    ORPHANS_GONE,
    RETRY,
    lives,
    living,
    on,
    on_all_when_long,
    stat_of,
    wait_empty,
    wait_task,
)
from tests.cluster.trace import Trace
from tests.processes import ClusterProcess
from tests.waiting import wait_until

Start = Callable[..., Any]


def kill_supervisor(started: ClusterProcess) -> float:
    """Kill it, wait for the end of all its children; seconds that took."""
    children = started.children()
    os.kill(started.pid, signal.SIGKILL)
    began = time.monotonic()
    started.wait()
    wait_until(lambda: not any(lives(child) for child in children), 20, what="their end")
    return time.monotonic() - began


@on_all_when_long("redis", "postgres", "sqlite")
def test_idle_orphans_leave_soon(place: dict[str, Any], q_cluster: Start, cluster: Start) -> None:
    q_cluster(**place, workers=3)

    assert kill_supervisor(cluster()) < ORPHANS_GONE


@on("redis", "postgres")
def test_busy_orphans_give_back_what_runs_and_what_waits(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace, tmp_path: Path
) -> None:
    q_cluster(**place, workers=2, retry=RETRY)
    gate = tmp_path / "gate"
    first: ClusterProcess = cluster()
    async_tasks("tests.site.tasks.hold", [(trace.path, n, str(gate)) for n in range(6)])
    wait_until(lambda: len(trace.started()) == 2, what="two starts")

    assert kill_supervisor(first) < ORPHANS_GONE

    assert (get_broker().queue_size(), get_broker().lock_size()) == (6, 0)
    gate.touch()
    second: ClusterProcess = cluster()
    trace.wait_ends(6)
    wait_empty()
    assert second.stop() == 0


def test_an_orphan_that_ends_its_task_in_time_saves_it(
    database: str, redis_url: str, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(redis=redis_url, workers=1, retry=RETRY)
    started: ClusterProcess = cluster()
    task_id = async_task("tests.site.tasks.record", trace.path, "a", 0.5)
    trace.wait_start("a")

    assert kill_supervisor(started) < ORPHANS_GONE

    assert wait_task(task_id).success
    assert get_broker().queue_size() == 0


@pytest.mark.parametrize("task", ["hold_interpreter", "swallow_everything"])
def test_orphans_that_are_stuck_are_killed(
    task: str, database: str, redis_url: str, q_cluster: Start, cluster: Start
) -> None:
    """The clerk may not come to run; so the housekeeper sees to it that nobody stays."""
    q_cluster(redis=redis_url, workers=2, retry=RETRY)
    started: ClusterProcess = cluster()
    async_task(f"tests.site.tasks.{task}")
    wait_until(lambda: str(stat_of(started).status) == "Working")

    assert kill_supervisor(started) < ORPHANS_GONE

    assert (get_broker().queue_size(), get_broker().lock_size()) == (1, 0)
    wait_until(lambda: str(stat_of(started).status) == "Stopped")


def test_orphans_take_their_tasks_children_along(
    database: str, redis_url: str, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(redis=redis_url, workers=1, retry=RETRY)
    started: ClusterProcess = cluster()
    async_task("tests.site.tasks.start_children", trace.path)
    wait_until(lambda: Path(trace.path).exists() and len(_pids(trace)) == 2, what="children")

    kill_supervisor(started)

    wait_until(lambda: not living(_pids(trace)), what="their end")


def _pids(trace: Trace) -> list[int]:
    return [int(line) for line in Path(trace.path).read_text().split()]


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_orphans_of_other_start_methods_leave_soon(
    method: str, database: str, redis_url: str, q_cluster: Start, cluster: Start
) -> None:
    q_cluster(redis=redis_url, workers=2, start_method=method)
    started: ClusterProcess = cluster()
    family = started.family()
    assert len(family) >= 4

    os.kill(started.pid, signal.SIGKILL)
    started.wait()

    wait_until(lambda: not started.family(), 2 + AIR, what="the end of the orphans")
