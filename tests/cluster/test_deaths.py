"""Tasks that kill their worker: stopped after `max_deaths`, and nobody else pays for it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_q.models import Ledger, Task
from django_q.tasks import async_task, async_tasks
from tests.cluster.ground import RETRY, on, wait_empty, wait_rows, wait_task
from tests.cluster.trace import Trace
from tests.processes import ClusterProcess
from tests.waiting import wait_until

Start = Callable[..., Any]


@on("redis", "postgres", "sqlite", "mariadb")
def test_a_death_that_repeats_becomes_a_failed_row(
    place: dict[str, Any],
    q_cluster: Start,
    cluster: Start,
    trace: Trace,
    hooks_file: Path,
) -> None:
    q_cluster(**place, workers=2, retry=RETRY, save_limit=0)
    hook = "tests.site.tasks.write_hook"
    tasks = [
        async_task("tests.site.tasks.kill_self", 9, trace.path + "1", hook=hook, task_name="shot"),
        async_task("tests.site.tasks.exit_now", 7, path=trace.path + "2", hook=hook),
        async_task("tests.site.tasks.segfault", trace.path + "3", hook=hook, group="poison"),
    ]
    # Beside them, before and behind: what only waited runs once.
    async_tasks("tests.site.tasks.record", [(trace.path, n) for n in range(200)])
    started: ClusterProcess = cluster()

    rows = [wait_task(id, RETRY / 2) for id in tasks]

    wait_empty(RETRY / 2)
    ends = ["signal SIGKILL", "exit code 7", "signal SIGSEGV"]
    for row, end in zip(rows, ends, strict=True):
        assert not row.success
        assert f"3 times; the last time it died of {end}" in row.result
    assert rows[0].args == (9, trace.path + "1")
    assert rows[1].kwargs == {"path": trace.path + "2"}
    assert (rows[0].name, rows[2].group, rows[0].hook) == ("shot", "poison", hook)
    for n in (1, 2, 3):
        assert len(Path(f"{trace.path}{n}").read_text().splitlines()) == 3
    assert trace.started() == trace.ended() == {str(n): 1 for n in range(200)}
    wait_until(lambda: len(hooks_file.read_text().splitlines()) == 3, what="three hooks")
    assert "hook shot False" in hooks_file.read_text()
    wait_until(lambda: not Ledger.objects.exists(), what="an empty ledger")
    assert started.stop() == 0


def test_max_deaths_is_kept(
    database: str, redis_url: str, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(redis=redis_url, workers=1, retry=RETRY, max_deaths=1)
    task_id = async_task("tests.site.tasks.exit_now", 3, path=trace.path)

    cluster()

    assert "1 times; the last time it died of exit code 3" in wait_task(task_id).result
    assert len(Path(trace.path).read_text().splitlines()) == 1


def test_a_task_that_survives_its_second_try_is_a_success(
    database: str, redis_url: str, q_cluster: Start, cluster: Start, tmp_path: Path
) -> None:
    q_cluster(redis=redis_url, workers=1, retry=RETRY)
    path = str(tmp_path / "tries")
    task_id = async_task("tests.site.odd.die_until", path, 3)

    cluster()

    assert wait_task(task_id).result == 3
    wait_until(lambda: not Ledger.objects.exists(), what="an empty ledger")


def test_waiting_tasks_go_on_at_once_beside_one_that_kills(
    database: str, redis_url: str, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    """A worker that dies gives back what only waited there, uncharged and without delay."""
    q_cluster(redis=redis_url, workers=1, retry=RETRY, save_limit=0)
    cluster()
    began = time.monotonic()

    for n in range(10):
        async_tasks("tests.site.tasks.record", [(trace.path, f"{n}.{i}") for i in range(10)])
        async_task("tests.site.tasks.exit_now", 1)

    wait_empty(RETRY / 2)
    wait_rows(110)
    assert time.monotonic() - began < RETRY / 2
    assert set(trace.started().values()) == {1}
    assert Task.objects.filter(success=True).count() == 100
    assert Task.objects.filter(success=False, result__isnull=False).count() == 10


def test_a_lost_task_without_receipts_leaves_a_failed_row(
    database: str, redis_url: str, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    """Fire and forget: what ran when its worker died is gone, but not silently."""
    q_cluster(redis=redis_url, receipts=False, workers=1)
    started: ClusterProcess = cluster()

    task_id = async_task("tests.site.tasks.exit_now", 7)
    saved = async_task("tests.site.tasks.add", 1, 2)

    row = wait_task(task_id)
    assert not row.success
    assert "exit code 7" in row.result
    assert wait_task(saved).result == 3
    assert started.stop() == 0


def test_a_task_that_forks_and_comes_back_twice_is_one_task(
    database: str, redis_url: str, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(redis=redis_url, workers=1, retry=RETRY, save_limit=0)
    started: ClusterProcess = cluster()
    family = set(started.family())

    forked = [async_task("tests.site.odd.fork_and_return", trace.path) for _ in range(5)]
    others = async_tasks("tests.site.tasks.add", [(n, 0) for n in range(50)])

    wait_rows(55, success=True, pk__in=[*forked, *others])
    wait_empty()
    wait_until(lambda: len(Path(trace.path).read_text().splitlines()) == 10, what="both")
    assert set(started.family()) == family
    assert started.stop() == 0


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_deaths_are_seen_under_other_start_methods(
    method: str, database: str, redis_url: str, q_cluster: Start, cluster: Start
) -> None:
    q_cluster(redis=redis_url, workers=1, retry=RETRY, start_method=method, max_deaths=2)
    started: ClusterProcess = cluster()
    task_id = async_task("tests.site.tasks.kill_self")

    assert "2 times; the last time it died of signal SIGKILL" in wait_task(task_id, 20).result

    wait_empty()
    assert "Failed" in started.wait_log(r"\[Q\] ERROR Failed")  # children log as all others
    assert started.stop() == 0
