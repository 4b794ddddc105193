"""Unique tasks, concurrency keys and rate limits, with two clusters and workers that die."""

import itertools
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_q.models import Permit, Task, UniqueKey
from django_q.tasks import async_task, async_tasks
from tests.cluster.ground import on, wait_empty, wait_rows, wait_task
from tests.cluster.trace import Trace
from tests.processes import ClusterProcess
from tests.waiting import wait_until

Start = Callable[..., Any]


def most_at_once(trace: Trace) -> int:
    """How many tasks ran at the same time, by the order of the lines; the killed ones never end."""
    running: set[str] = set()
    most = 0
    for line in Path(trace.path).read_text().splitlines():
        word, token, _ = line.split()
        running = running | {token} if word == "start" else running - {token}
        most = max(most, len(running))
    return most


@on("redis", "postgres")
def test_no_more_than_the_limit_run_at_once_while_workers_die(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(**place, workers=3, retry=5, save_limit=0)
    clusters: list[ClusterProcess] = [cluster(), cluster()]
    options = {"concurrency_key": "machine", "concurrency_limit": 2}

    ids = async_tasks(
        "tests.site.tasks.record", [(trace.path, n, 0.1) for n in range(20)], **options
    )
    for kills in range(3):
        wait_until(lambda seen=kills: len(trace.ended()) >= 4 * (seen + 1), 30, what="progress")
        os.kill(trace.newest_pid(), signal.SIGKILL)

    wait_rows(20, 60, success=True, pk__in=ids)
    assert most_at_once(trace) == 2
    assert set(trace.ended()) == {str(n) for n in range(20)}
    wait_until(lambda: not Permit.objects.exists(), what="no permit left")
    wait_empty()
    assert [each.stop() for each in clusters] == [0, 0]


@on("redis", "postgres")
def test_one_of_many_unique_tasks_runs(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace, tmp_path: Path
) -> None:
    q_cluster(**place, workers=2, save_limit=0)
    gate = tmp_path / "gate"
    cluster(), cluster()
    first = async_task("tests.site.tasks.hold", trace.path, "first", str(gate), unique="report")
    trace.wait_start("first")

    assert async_task("tests.site.tasks.record", trace.path, "second", unique="report") == first
    gate.touch()
    wait_task(first)
    wait_until(lambda: not UniqueKey.objects.exists(), what="the key to be free")
    third = async_task("tests.site.tasks.record", trace.path, "third", unique="report")

    assert wait_task(third).success
    assert set(trace.started()) == {"first", "third"}


@on("redis", "postgres")
def test_a_task_that_is_unique_until_it_starts_lets_the_next_one_wait(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace, tmp_path: Path
) -> None:
    q_cluster(**place, workers=1, save_limit=0)
    gate = tmp_path / "gate"
    options = {"unique": "report", "unique_until": "started"}
    cluster()
    held = (trace.path, "first", str(gate))
    first = async_task("tests.site.tasks.hold", *held, **options)
    trace.wait_start("first")

    second = async_task("tests.site.tasks.record", trace.path, "second", **options)
    third = async_task("tests.site.tasks.record", trace.path, "third", **options)

    assert second != first and third == second
    gate.touch()
    assert wait_task(second).success
    wait_empty()
    assert set(trace.started()) == {"first", "second"}


def test_the_key_of_a_task_that_kills_its_workers_is_free_in_the_end(
    database: str, redis_url: str, q_cluster: Start, cluster: Start
) -> None:
    q_cluster(redis=redis_url, workers=1, max_deaths=2)
    cluster()
    options = {"unique": "poison", "concurrency_key": "poison"}

    task_id = async_task("tests.site.tasks.kill_self", **options)

    assert "SIGKILL" in wait_task(task_id, 20).result
    wait_until(lambda: not (UniqueKey.objects.exists() or Permit.objects.exists()))
    assert async_task("tests.site.tasks.noop", **options) != task_id


@on("redis", "postgres")
def test_starts_keep_their_distance(
    place: dict[str, Any], q_cluster: Start, cluster: Start
) -> None:
    q_cluster(**place, workers=2, save_limit=0)
    cluster(), cluster()

    ids = async_tasks("tests.site.tasks.noop", [()] * 12, rate_limit="10/s", rate_key=str(place))

    wait_rows(12, 20, success=True, pk__in=ids)
    starts = sorted(Task.objects.values_list("started", flat=True))
    gaps = [(b - a).total_seconds() for a, b in itertools.pairwise(starts)]
    # A start may come late, and then the next one seems early; over all there is no haste.
    assert (starts[-1] - starts[0]).total_seconds() == pytest.approx(1.1, abs=0.5)
    assert sorted(gaps)[len(gaps) // 2] == pytest.approx(0.1, abs=0.06)
    wait_empty()
