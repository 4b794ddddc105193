"""Later, sooner, and from several queues: when a real cluster starts what."""

import collections
import os
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from django_q.brokers import get_broker
from django_q.models import Delayed, Task
from django_q.tasks import async_chain, async_task, async_tasks, schedule
from tests.cluster.ground import RETRY, on, stat_of, wait_empty, wait_rows, wait_task
from tests.cluster.trace import Trace
from tests.processes import ClusterProcess
from tests.waiting import wait_until

Start = Callable[..., Any]
RECORD = "tests.site.tasks.record"
NOOP = "tests.site.tasks.noop"
#: Seconds a task may be late, and what a busy machine adds.
LATE, SLACK = 1.0, 1.0


# Later.


def _check_times(due: dict[str, Any]) -> None:
    for task_id, moment in due.items():
        late = (wait_task(task_id).started - moment).total_seconds()
        assert -0.05 <= late < LATE + SLACK, late


@on("redis", "postgres", "sqlite")
def test_a_delayed_task_starts_within_a_second_of_its_time(
    place: dict[str, Any], q_cluster: Start, cluster: Start
) -> None:
    q_cluster(**place, workers=2, retry=RETRY)
    cluster()
    now = timezone.now()

    due = {
        async_task(NOOP, delay=0.7): now + timedelta(seconds=0.7),
        async_task(NOOP, run_at=now + timedelta(seconds=1.4)): now + timedelta(seconds=1.4),
        async_task(NOOP, run_at=now - timedelta(days=1)): now,
    }

    _check_times(due)
    assert not Delayed.objects.exists()
    wait_empty()


@pytest.mark.parametrize("database", ["default", "postgres"], indirect=True)
def test_the_housekeeper_hands_on_what_the_broker_cannot_hold_back(
    database: str, redis_url: str, q_cluster: Start, cluster: Start
) -> None:
    q_cluster(redis=redis_url, receipts=False, workers=2)
    cluster()
    now = timezone.now()

    due = {
        async_task(NOOP, delay=seconds): now + timedelta(seconds=seconds)
        for seconds in (0.3, 1.0, 1.7)
    }

    _check_times(due)
    assert not Delayed.objects.exists()


def test_delayed_tasks_survive_the_death_of_a_housekeeper(
    database: str, redis_url: str, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(redis=redis_url, receipts=False, workers=1, save_limit=0)
    clusters: list[ClusterProcess] = [cluster(), cluster()]
    stats = [stat_of(started) for started in clusters]

    async_tasks(RECORD, [(trace.path, number) for number in range(300)], delay=1.0)
    wait_until(trace.started, what="the first start", pause=0.001)
    for stat in stats:
        os.kill(stat.housekeeper, signal.SIGKILL)

    wait_rows(300)
    assert not Delayed.objects.exists()
    # What was sent twice was seen, unless both ran at the same time.
    assert sum(trace.started().values()) <= 302


# Priorities.


@on("redis", "postgres")
def test_a_high_task_passes_ten_thousand_low_ones(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(**place, workers=2, retry=RETRY, save_limit=-1)
    async_tasks(RECORD, [(trace.path, "low", 0.02)] * 10_000, priority=-1)
    cluster()
    trace.wait_start("low", 50)

    sent = time.time()
    task_id = async_task(RECORD, trace.path, "high", priority=100, save=True)

    task = wait_task(task_id)
    # A task of 20 ms is running, and some that were leased ahead wait: for 0.1 s at most.
    assert task.started.timestamp() - sent < 0.15 + SLACK
    assert trace.started()["low"] < 1_000


@on("redis", "postgres")
def test_what_is_held_back_keeps_its_priority(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(**place, workers=1, retry=RETRY)
    async_task(RECORD, trace.path, "first", 1.5)
    cluster()
    trace.wait_start("first")

    async_task(RECORD, trace.path, "low", delay=0.2, priority=-1)
    async_task(RECORD, trace.path, "usual")
    async_task(RECORD, trace.path, "high", delay=0.2, priority=1)

    trace.wait_ends(4)
    assert [token for token, _ in trace.lines("start")] == ["first", "high", "usual", "low"]


# Several queues.


@on("redis", "postgres")
def test_queues_are_served_in_order(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    queues = ["high", "default", "low"]
    q_cluster(**place, workers=1, retry=RETRY, queues=queues)
    for queue in ("low", "default", "high"):
        async_tasks(RECORD, [(trace.path, queue, 0.005)] * 40, cluster=queue)

    started: ClusterProcess = cluster()

    wait_rows(120)
    assert [token for token, _ in trace.lines("start")] == [q for q in queues for _ in range(40)]
    assert collections.Counter(Task.objects.values_list("cluster", flat=True)) == dict.fromkeys(
        queues, 40
    )
    stat = stat_of(started)
    assert (stat.queue, stat.queues) == ("default", queues)
    for queue in queues:
        wait_empty(queue=queue)


@on("redis", "postgres")
def test_queues_are_served_by_weight(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(**place, workers=2, retry=RETRY, queues={"high": 3, "default": 1}, save_limit=-1)
    for queue in ("default", "high"):
        async_tasks(RECORD, [(trace.path, queue, 0.002)] * 600, cluster=queue)

    cluster()

    wait_until(lambda: sum(trace.started().values()) >= 400, 30, what="400 starts")
    first = collections.Counter(token for token, _ in trace.lines("start")[:400])
    # Two workers begin with one package each, and take up to 200 at a time.
    assert 240 <= first["high"] <= 340


@on("redis", "postgres")
def test_all_that_belongs_to_a_queue_finds_its_way(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(**place, workers=2, retry=RETRY, queues=["high", "default"], max_deaths=2)
    started: ClusterProcess = cluster()

    # Sent back after a death, a chain, a schedule, and what cannot be opened.
    async_task(RECORD, trace.path, "long", 30.0, cluster="high")
    os.kill(trace.wait_start("long"), signal.SIGKILL)
    trace.wait_start("long", 2)
    os.kill(trace.newest_pid(), signal.SIGKILL)
    group = async_chain([NOOP, (NOOP, (), {"q_options": {"cluster": "high", "delay": 0.1}})])
    schedule(RECORD, trace.path, "due", cluster="high", next_run=timezone.now())
    get_broker("high").enqueue("nonsense")

    wait_until(lambda: Task.objects.filter(group=group).count() == 2, what="the chain")
    assert set(Task.objects.filter(group=group).values_list("cluster", flat=True)) == {
        "default",
        "high",
    }
    trace.wait_start("due")
    started.wait_log("A package of high is rejected")
    failed = wait_until(lambda: Task.objects.filter(success=False).first(), what="the failure")
    assert (failed.cluster, failed.cause) == ("high", "died")
    wait_empty(queue="high")
    wait_empty(queue="default")


@on("redis", "postgres")
def test_an_idle_cluster_takes_soon_what_comes_into_any_queue(
    place: dict[str, Any], q_cluster: Start, cluster: Start
) -> None:
    q_cluster(**place, workers=1, retry=RETRY, queues=["high", "default", "low"])
    cluster()
    waits = []

    for queue in ("low", "default", "high") * 2:
        sent = timezone.now()
        task_id = async_task(NOOP, cluster=queue)
        waits.append((wait_task(task_id).started - sent).total_seconds())

    # The lower half: a busy machine delays some.
    assert sorted(waits)[2] < 0.25 + 0.1, waits
