"""Cancelling, on a real cluster: what waits, what runs, and what does not listen."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_q.models import Cancellation, Ledger, Task, Tracked
from django_q.monitor.overview import running
from django_q.status import Stat
from django_q.tasks import CancelAnswer, TaskState, async_chain, async_task, cancel, task_status
from tests.cluster.ground import living, on, wait_empty, wait_task
from tests.cluster.trace import Trace
from tests.waiting import wait_until

Start = Callable[..., Any]

TASKS = "tests.site.tasks."
HOOK = f"{TASKS}write_hook"


def wait_started(trace: Trace, count: int = 1) -> None:
    wait_until(lambda: trace.started().total() >= count, what="tasks that run")


def assert_cancelled(row: Task) -> None:
    assert not row.success
    assert (row.cause, row.status) == ("cancelled", "cancelled")
    assert row.result.startswith("The task was cancelled")
    wait_until(lambda: not Cancellation.objects.exists(), what="no wish that is fulfilled")


@on("redis", "postgres")
def test_what_runs_is_interrupted(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace, hooks_file: Path
) -> None:
    q_cluster(**place, workers=4, max_attempts=5, timeout=60)
    started = cluster()
    ids = {
        name: async_task(f"{TASKS}{name}", *args, hook=HOOK, task_name=name, **options)
        for name, args, options in (
            ("sleep", (600,), {"timeout": None}),
            ("busy", (), {}),
            ("record", (trace.path, 1, 600), {"track": True}),
        )
    }
    ids["clean_up"] = async_task("tests.site.tracked.clean_up", trace.path, task_name="clean_up")
    wait_until(lambda: len(running(Stat.get_all())) == 4, what="four tasks that run")
    wait_until(lambda: task_status(ids["record"]).state == TaskState.RUNNING)  # type: ignore[union-attr]

    began = time.monotonic()
    answers = [cancel(task_id) for task_id in ids.values()]
    rows = [wait_task(task_id) for task_id in ids.values()]
    took = time.monotonic() - began

    assert answers == [CancelAnswer.ASKED] * 4
    assert took < 4  # a second, and what two cores shared with others need
    for row in rows:
        assert_cancelled(row)
    assert "cancelled True" in Path(trace.path).read_text()
    assert "died" not in started.log()
    hooks = {f"hook {name} False" for name in ("sleep", "busy", "record")}
    wait_until(lambda: set(hooks_file.read_text().splitlines()) == hooks, what="the hooks")
    assert not Tracked.objects.exists()
    again = async_task(f"{TASKS}add", 1, 1)
    assert wait_task(again).result == 2


@on("redis", "postgres")
def test_what_does_not_listen_loses_its_worker(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace, hooks_file: Path
) -> None:
    q_cluster(**place, workers=3, grace=2, retry=60, max_attempts=5)
    started = cluster()
    deaf = async_task(f"{TASKS}hold_interpreter", hook=HOOK, task_name="deaf")
    stubborn = async_task(f"{TASKS}swallow_everything", track=True)
    calls = async_task(f"{TASKS}long_call")
    wait_until(lambda: len(running(Stat.get_all())) == 3, what="three tasks that run")

    cancel(deaf, kill=True)
    cancel(stubborn)
    cancel(calls, kill=True)

    for task_id in (deaf, stubborn, calls):
        assert_cancelled(wait_task(task_id))
    assert started.log().count("died (its task was cancelled)") == 3
    wait_until(lambda: hooks_file.exists() and hooks_file.read_text(), what="the hook")
    assert hooks_file.read_text() == "hook deaf False\n"
    wait_empty()
    wait_until(lambda: not Ledger.objects.exists(), what="an empty ledger")
    assert not Tracked.objects.exists()


@on("redis", "postgres")
def test_what_waits_does_not_start(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace, hooks_file: Path
) -> None:
    q_cluster(**place, workers=1)
    tracked = async_task(f"{TASKS}record", trace.path, "tracked", hook=HOOK, track=True)
    other = async_task(f"{TASKS}record", trace.path, "other", task_name="other", hook=HOOK)
    runs = async_task(f"{TASKS}record", trace.path, "runs")

    assert cancel(tracked) is CancelAnswer.CANCELLED
    row = Task.objects.get(pk=tracked)
    status = task_status(tracked)
    assert cancel(other) is CancelAnswer.ASKED
    cluster()

    assert status is not None and status.state == TaskState.CANCELLED
    assert (row.args, row.attempt_count) == ((trace.path, "tracked"), 0)
    assert wait_task(runs).success
    assert_cancelled(wait_task(other))
    assert_cancelled(Task.objects.get(pk=tracked))
    wait_until(lambda: hooks_file.read_text().count("\n") == 2, what="the hooks")
    assert trace.started() == {"runs": 1}
    assert not Tracked.objects.exists()


@on("redis", "postgres")
def test_what_waits_for_its_time_does_not_start(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(**place, workers=1)
    cluster()
    followed = async_task(f"{TASKS}record", trace.path, 1, delay=2, track=True)
    other = async_task(f"{TASKS}record", trace.path, 2, delay=2)

    assert task_status(followed).state == TaskState.SCHEDULED  # type: ignore[union-attr]
    assert cancel(followed) is CancelAnswer.CANCELLED
    assert cancel(other) is CancelAnswer.ASKED

    assert_cancelled(wait_task(other))
    wait_empty()
    assert_cancelled(Task.objects.get(pk=followed))
    assert not trace.started()


@on("redis", "postgres")
def test_too_late_is_said_and_leaves_nothing_behind(
    place: dict[str, Any], q_cluster: Start, cluster: Start
) -> None:
    q_cluster(**place, workers=1)
    cluster()
    done = async_task(f"{TASKS}add", 1, 1)
    failed = async_task(f"{TASKS}fail")
    for task_id in (done, failed):
        wait_task(task_id)

    answers = [cancel(done), cancel(failed, kill=True)]

    assert answers == [CancelAnswer.TOO_LATE] * 2
    assert not any(answers)
    assert not Cancellation.objects.exists()


@on("redis", "postgres")
def test_a_task_that_returns_all_the_same_has_succeeded(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(**place, workers=1)
    cluster()
    task_id = async_task("tests.site.tracked.look", trace.path)
    wait_until(lambda: Path(trace.path).exists(), what="a task that runs")

    cancel(task_id)

    assert wait_task(task_id).result == "done all the same"
    wait_until(lambda: not Cancellation.objects.exists(), what="no wish that is over")


@pytest.mark.parametrize("runner", ["threads", "async_concurrency"])
def test_a_task_among_others_is_cancelled_alone(
    runner: str, database: str, redis_url: str, q_cluster: Start, cluster: Start
) -> None:
    q_cluster(redis=redis_url, workers=1, **{runner: 3})
    started = cluster()
    func = "tests.site.tracked.wait" if runner == "threads" else "tests.site.tracked.wait_async"
    first, second = (async_task(func, 6.0, track=True) for _ in range(2))
    for task_id in (first, second):
        wait_until(lambda: task_status(task_id).state == "running", what="two tasks that run")  # type: ignore[union-attr]  # noqa: B023

    cancel(first)

    assert_cancelled(wait_task(first, limit=5))
    assert wait_task(second).result == 6.0
    assert "died" not in started.log()


@on("redis", "postgres")
def test_a_cancelled_link_ends_its_chain(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(**place, workers=1)
    link = (f"{TASKS}record", (trace.path, "first", 600))
    async_chain([link, (f"{TASKS}record", (trace.path, "second"))])
    cluster()
    wait_started(trace)
    wait_until(lambda: Tracked.objects.exists(), what="the row of what runs")

    cancel(Tracked.objects.get().pk)

    wait_until(lambda: Task.objects.exists(), what="the result")
    assert_cancelled(Task.objects.get())
    wait_empty()
    assert trace.started() == {"first": 1}


def test_tasks_are_cancelled_while_the_broker_is_frozen_and_in_other_clusters(
    database: str, redis_url: str, valkey: Any, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(redis=redis_url, workers=1)
    cluster(cluster_name="elsewhere")
    task_id = async_task(f"{TASKS}record", trace.path, 1, 600, cluster="elsewhere")
    wait_started(trace)
    worker = trace.newest_pid()

    valkey.pause()
    try:
        assert cancel(task_id) is CancelAnswer.ASKED
        row = wait_task(task_id, limit=25)
    finally:
        valkey.resume()

    assert row.cause == "cancelled"
    assert living([worker])
    wait_empty(queue="elsewhere")
