"""Clusters that have nothing to fear: much work, each piece once."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_q.brokers import get_broker
from django_q.cluster import Cluster
from django_q.models import Task
from django_q.status import Stat
from django_q.tasks import async_task, async_tasks
from tests.cluster.ground import (
    is_empty,
    on,
    on_all_when_long,
    stat_of,
    wait_empty,
    wait_rows,
    wait_task,
)
from tests.cluster.trace import Trace
from tests.waiting import wait_until

#: Tasks in a drain, and in a short one.
MANY, TASKS = 10_000, 2000

Start = Callable[..., Any]


def drain_with_two(start: Start, trace: Trace, count: int) -> None:
    clusters = [start(), start()]

    # Each takes a moment, so that neither cluster has done all before the other has looked.
    async_tasks("tests.site.tasks.record", [(trace.path, n, 0.003) for n in range(count)])

    wait_empty(120)
    wait_rows(count, success=True)
    assert trace.started() == trace.ended() == {str(n): 1 for n in range(count)}
    assert len({pid for _, pid in trace.lines("end")}) > 2  # both clusters had their share
    assert [cluster.stop() for cluster in clusters] == [0, 0]
    assert is_empty(get_broker())


@on_all_when_long("redis", "postgres", "sqlite", "mariadb")
def test_two_clusters_run_ten_thousand_tasks_once_each(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(**place, workers=2, save_limit=0)

    drain_with_two(cluster, trace, MANY)


@on("postgres", "sqlite")
def test_two_clusters_run_each_task_once(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(**place, workers=2, save_limit=0)

    drain_with_two(cluster, trace, TASKS)


@on("mariadb")
def test_two_clusters_run_each_task_once_on_mariadb(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(**place, workers=2, save_limit=0)

    drain_with_two(cluster, trace, TASKS // 4)


@on("redis", "sqlite")
def test_run_once_ends_when_the_queue_is_empty(
    place: dict[str, Any], q_cluster: Start, cluster: Start
) -> None:
    q_cluster(**place, workers=2, guard_cycle=0.1)
    ids = async_tasks("tests.site.tasks.add", [(n, 1) for n in range(50)])
    slow = async_task("tests.site.tasks.sleep", 1.5)

    once = cluster("--run-once", wait=False)

    assert once.wait(20) == 0
    assert Task.objects.filter(pk__in=[*ids, slow], success=True).count() == 51
    assert cluster("--run-once", wait=False).wait(20) == 0  # an empty one


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_other_start_methods_drain_too(
    method: str, database: str, redis_url: str, q_cluster: Start, cluster: Start
) -> None:
    q_cluster(redis=redis_url, workers=2, start_method=method)
    started = cluster()

    ids = async_tasks("tests.site.tasks.add", [(n, 1) for n in range(200)])

    wait_rows(200, pk__in=ids, success=True)
    assert started.stop() == 0


def test_a_cluster_serves_the_queue_it_is_named_for(
    database: str, redis_url: str, q_cluster: Start, cluster: Start
) -> None:
    long = {"timeout": 77, "workers": 1}
    q_cluster(redis=redis_url, workers=2, ALT_CLUSTERS={"long": long})
    for_long = async_task("tests.site.tasks.process", cluster="long")
    for_other = async_task("tests.site.tasks.process", cluster="other")
    for_default = async_task("tests.site.tasks.process")

    known, unknown = cluster("-n", "long"), cluster("--name", "other")

    assert wait_task(for_long).result in stat_of(known).workers
    assert wait_task(for_other).result in stat_of(unknown).workers
    assert Task.objects.get(pk=for_long).cluster == "long"
    assert len(stat_of(known).workers) == 1
    assert not Task.objects.filter(pk=for_default).exists()
    assert get_broker().queue_size() == 1


@on("redis", "sqlite")
def test_the_heartbeat_tells_of_the_cluster(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace, tmp_path: Path
) -> None:
    q_cluster(**place, workers=2, guard_cycle=0.1)
    started = cluster("--workers", "3")
    wait_until(lambda: str(stat_of(started).status) == "Idle")
    children = {child.pid for child in started.children()}
    async_task("tests.site.tasks.hold", trace.path, "a", str(tmp_path / "gate"), task_name="held")
    trace.wait_start("a")

    wait_until(lambda: str(stat_of(started).status) == "Working")

    wait_until(lambda: _family_of(stat_of(started)) == children)
    stat = stat_of(started)
    assert [state["task_name"] for state in stat.worker_states if state["task_name"]] == ["held"]
    (tmp_path / "gate").touch()
    assert started.stop() == 0
    wait_until(lambda: str(stat_of(started).status) == "Stopped")


def _family_of(stat: Stat) -> set[int]:
    return {stat.housekeeper, *stat.workers}


def test_a_cluster_runs_beside_the_process_that_starts_it(
    database: str, redis_url: str, q_cluster: Start
) -> None:
    q_cluster(redis=redis_url, workers=1)
    beside = Cluster(get_broker("beside"))
    assert not beside.stop()

    pid = beside.start()
    try:
        task_id = async_task("tests.site.tasks.add", 1, 2, cluster="beside")
        assert wait_task(task_id).result == 3
        assert beside.stat.pid == pid
        assert beside.stat.sentinel == pid
        assert (beside.is_running, beside.has_stopped) == (True, False)
    finally:
        assert beside.stop()
    assert (beside.is_running, beside.has_stopped) == (False, True)
    assert beside.sentinel.exitcode == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIG_DFL)
