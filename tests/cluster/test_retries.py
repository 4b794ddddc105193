"""Retries at work: what fails comes back later, and is counted, whoever dies in between."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django_q.models import Attempt, Delayed, Task
from django_q.tasks import async_task, async_tasks, attempts, fetch
from tests.cluster.ground import RETRY, on, wait_empty, wait_rows, wait_task
from tests.cluster.trace import Trace
from tests.processes import ClusterProcess
from tests.waiting import wait_until

Start = Callable[..., Any]

#: Tasks that are retried while workers are killed, and the runs that each needs.
TASKS, RUNS, KILLS = 32, 3, 3


@on("redis", "postgres")
def test_what_fails_comes_back_later_and_counts_once(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace, hooks_file: Path
) -> None:
    q_cluster(**place, workers=2, retry=RETRY)
    started: ClusterProcess = cluster()
    policy = {"max_attempts": 5, "retry_delay": 0.5, "backoff": 2, "jitter": 0}
    hook = "tests.site.tasks.write_hook"

    task_id = async_task(
        "tests.site.flows.fail_first", trace.path, "t", 3, hook=hook, task_name="third", **policy
    )
    asking = async_task("tests.site.flows.ask_once", 1.0)

    task = fetch(task_id, wait=20_000)
    assert task is not None
    assert (task.success, task.result, task.attempt_count) == (True, 3, 3)
    first, second = attempts(task_id)
    assert (first.number, first.error) == (1, "builtins.ValueError")
    assert 0.5 <= (second.started - first.stopped).total_seconds() < 5
    assert 1.0 <= (task.started - second.stopped).total_seconds() < 6
    (asked,) = wait_until(lambda: attempts(asking), what="the attempt that asked")
    assert wait_task(asking).result - asked.started.timestamp() >= 1.0
    # The row is there before the hook has run.
    wait_until(hooks_file.exists, what="the hook")
    assert hooks_file.read_text() == "hook third True\n"
    assert f"Retry 2/5 of third [{task_id}] in 0.5 s: ValueError: attempt 1 of 5" in started.log()
    assert "ERROR" not in started.log()
    wait_empty()
    assert not Delayed.objects.exists()


@on("redis", "postgres")
def test_both_time_limits_are_failures_like_any(
    place: dict[str, Any], q_cluster: Start, cluster: Start
) -> None:
    q_cluster(**place, workers=2, retry=RETRY, grace=0.5)
    cluster()
    timeout = "django_q.exceptions.TimeoutException"

    task_id = async_task(
        "tests.site.flows.swallow", 60, timeout=0.5, max_attempts=2, retry_delay=0, retry_on=timeout
    )
    given_up = async_task(
        "tests.site.tasks.sleep", 60, timeout=0.5, max_attempts=2, retry_on=["OSError"]
    )

    task = wait_task(task_id, 20)
    assert (task.success, task.cause, task.attempt_count) == (False, "timeout", 2)
    # The first run was killed, the second one ended at its soft limit.
    (killed,) = attempts(task_id)
    assert killed.error == timeout
    assert "hard limit" in killed.traceback
    assert "ran longer than its limit of 0.5 s" in task.result
    assert (wait_task(given_up).attempt_count, attempts(given_up)) == (1, [])


@on("redis", "postgres")
def test_killed_workers_neither_lose_nor_double_an_attempt(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(**place, workers=2, retry=RETRY, save_limit=0)
    cluster()
    cluster()
    calls = [(trace.path, n, RUNS, 0.02) for n in range(TASKS)]
    async_tasks("tests.site.flows.fail_first", calls, max_attempts=RUNS, retry_delay=0.2, backoff=1)

    killed: set[int] = set()
    for n in range(1, KILLS + 1):
        wait_until(lambda n=n: len(trace.ended()) >= n * TASKS * RUNS // 6, 30, what="progress")
        killed.add(trace.newest_pid())
        os.kill(trace.newest_pid(), signal.SIGKILL)
        time.sleep(0.1)

    wait_rows(TASKS, 40, success=True)
    wait_empty()
    assert set(Task.objects.values_list("attempt_count", flat=True)) == {RUNS}
    assert Attempt.objects.count() == TASKS * (RUNS - 1)
    assert len(trace.ended()) == TASKS * RUNS
    # What ran when its worker was killed has run again. Nothing else has, unless a kill fell
    # between sending what follows a batch and acknowledging it: some three tasks then.
    assert trace.started().total() - TASKS * RUNS <= 2 * len(killed)
