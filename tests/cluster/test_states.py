"""States of tasks, on a real cluster: what is seen of a task while it waits and runs."""

import datetime
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from django_q.exceptions import BrokerUnavailable
from django_q.models import Task, Tracked
from django_q.results import tracking
from django_q.results.base import worker_name
from django_q.tasks import (
    TaskState,
    async_chain,
    async_task,
    async_tasks,
    schedule,
    task_status,
)
from tests.cluster.ground import on, wait_empty, wait_rows, wait_task
from tests.cluster.trace import Trace
from tests.waiting import wait_until

Start = Callable[..., Any]

HOLD = "tests.site.tasks.hold"


def is_running(task_id: str) -> bool:
    status = task_status(task_id)
    return status is not None and status.state == TaskState.RUNNING


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """The file whose coming ends the tasks that wait for it."""
    return tmp_path / "gate"


@on("redis", "postgres")
def test_a_task_is_followed_from_the_start(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace, gate: Path
) -> None:
    q_cluster(**place, workers=1)
    task_id = async_task(HOLD, trace.path, 1, str(gate), track=True, group="g")

    waiting = task_status(task_id)
    cluster()
    wait_until(lambda: is_running(task_id), what="the state of what runs")
    running = task_status(task_id)
    gate.touch()
    row = wait_task(task_id)
    ended = task_status(task_id)

    assert waiting is not None and running is not None and ended is not None
    assert (waiting.state, waiting.func, waiting.group) == (TaskState.QUEUED, HOLD, "g")
    assert running.worker == f"{worker_name().partition(':')[0]}:{trace.newest_pid()}"
    assert timezone.now() - datetime.timedelta(seconds=20) < running.since < row.stopped
    assert (running.attempt, running.is_lost) == (1, False)
    assert (ended.state, ended.worker, ended.since) == ("succeeded", running.worker, row.stopped)
    assert not Tracked.objects.exists()


@on("redis", "postgres")
def test_only_what_takes_a_second_is_written_down(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace, gate: Path
) -> None:
    q_cluster(**place, workers=2)
    cluster()
    quick = async_tasks("tests.site.tasks.add", [(n, 1) for n in range(50)])
    wait_rows(50)
    assert not Tracked.objects.exists()
    assert task_status("0" * 32) is None

    slow = async_task(HOLD, trace.path, 1, str(gate))
    assert task_status(slow) is None
    wait_until(lambda: is_running(slow), what="the state of what runs")
    row = Tracked.objects.get()
    gate.touch()
    wait_task(slow)

    assert (row.pk, row.func, row.args) == (slow, HOLD, None)
    assert {task_status(one).state for one in quick} == {TaskState.SUCCEEDED}  # type: ignore[union-attr]
    wait_until(lambda: not Tracked.objects.exists(), what="no row of what is over")


@on("redis", "postgres")
def test_a_task_whose_worker_is_killed_waits_and_runs_again(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace, gate: Path
) -> None:
    q_cluster(**place, workers=1, retry=60)
    cluster()
    tracked = async_task(HOLD, trace.path, 1, str(gate), track=True)
    wait_until(lambda: is_running(tracked), what="the state of what runs")
    first = task_status(tracked)

    os.kill(trace.newest_pid(), signal.SIGKILL)
    wait_until(lambda: len(trace.started()) and trace.started()["1"] == 2, what="the second run")
    wait_until(
        lambda: is_running(tracked) and task_status(tracked).worker != first.worker,  # type: ignore[union-attr]
        what="the state of the second run",
    )
    gate.touch()

    assert wait_task(tracked).success
    wait_empty()
    assert not Tracked.objects.exists()


@on("redis", "postgres")
def test_progress_is_seen_from_outside(
    place: dict[str, Any], q_cluster: Start, cluster: Start, gate: Path
) -> None:
    q_cluster(**place, workers=1)
    cluster()
    task_id = async_task("tests.site.tracked.report", str(gate))

    wait_until(lambda: is_running(task_id) and task_status(task_id).progress)  # type: ignore[union-attr]
    first = task_status(task_id).progress  # type: ignore[union-attr]
    wait_until(lambda: task_status(task_id).progress != first, what="more progress")  # type: ignore[union-attr]
    gate.touch()

    assert first is not None
    assert first.total == 50 and 0 < first.done <= 50 and first.text.startswith("step ")
    assert wait_task(task_id).result > 100


@on("redis", "postgres")
def test_a_retried_task_waits_for_its_time(
    place: dict[str, Any], q_cluster: Start, cluster: Start, tmp_path: Path
) -> None:
    q_cluster(**place, workers=1)
    cluster()
    task_id = async_task(
        "tests.site.tasks.fail_until", str(tmp_path / "calls"), 2,
        track=True, max_attempts=3, retry_delay=1.5, jitter=0,
    )  # fmt: skip

    wait_until(lambda: task_status(task_id).state == "scheduled", what="a retry")  # type: ignore[union-attr]
    waiting = task_status(task_id)
    row = wait_task(task_id)

    assert waiting is not None and waiting.run_at is not None
    assert waiting.attempt == 2
    assert 0 < (waiting.run_at - timezone.now() + datetime.timedelta(seconds=9)).total_seconds()
    assert row.success and row.result == 2
    wait_until(lambda: not Tracked.objects.exists(), what="no row of what is over")


def test_what_no_producer_wrote_down_is_seen_when_it_runs(
    database: str, redis_url: str, q_cluster: Start, cluster: Start, trace: Trace, gate: Path
) -> None:
    q_cluster(redis=redis_url, workers=2, track=True)
    cluster()
    link = (HOLD, (trace.path, "link", str(gate)))

    group = async_chain([("tests.site.tasks.noop",), link])
    schedule(HOLD, trace.path, "scheduled", str(gate), name="every day", schedule_type="D")
    rows = Tracked.objects.filter(state="running")
    wait_until(lambda: rows.count() == 2, what="the rows of what runs")
    groups = set(rows.values_list("group", flat=True))
    gate.touch()

    assert groups == {group, "every day"}
    wait_until(lambda: not Tracked.objects.exists(), what="no row of what is over")


def test_what_a_dead_machine_ran_is_put_right(database: str, q_cluster: Start) -> None:
    q_cluster(orm="default", retry=5)
    long_ago = timezone.now() - datetime.timedelta(minutes=1)
    common = {"name": "n", "func": "f.g", "queue": "q", "state": "running", "enqueued": long_ago}
    common |= {"started": long_ago, "seen": long_ago, "worker": "gone:1"}
    Tracked.objects.create(id="a", args="pickled", **common)
    Tracked.objects.create(id="b", **common)
    lost = task_status("a")

    tracking.put_right(6)

    assert lost is not None and lost.is_lost and lost.state == "running"
    waiting = task_status("a")
    assert waiting is not None and (waiting.state, waiting.worker) == ("queued", None)
    assert task_status("b") is None


@pytest.mark.parametrize("on_commit", [False, True])
def test_a_task_that_cannot_be_sent_leaves_no_row(
    on_commit: bool, database: str, q_cluster: Start
) -> None:
    q_cluster(redis="redis://127.0.0.1:1/0", on_commit=on_commit)

    with pytest.raises(BrokerUnavailable, match="127.0.0.1:1"), transaction.atomic():
        async_task("tests.site.tasks.noop", track=True)

    assert not Tracked.objects.exists()
    assert not Task.objects.exists()
