"""Threads and coroutines: what tasks find around them, and what they leave behind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from django_q.models import Ledger, Task
from django_q.tasks import async_task, async_tasks, cancel
from tests.cluster.ground import (
    every_start_method,
    on,
    wait_empty,
    wait_rows,
    wait_task,
)
from tests.cluster.trace import Trace
from tests.processes import ClusterProcess
from tests.waiting import wait_until

Start = Callable[..., Any]

SITE = "tests.site.side_by_side"
BOTH = {"threads": 4, "async_concurrency": 10}


def test_coroutines_share_one_loop_and_functions_have_threads(
    database: str, redis_url: str, q_cluster: Start, cluster: Start
) -> None:
    q_cluster(redis=redis_url, workers=1, **BOTH)
    cluster()

    coroutines = async_tasks(f"{SITE}.whereabouts_of_coroutine", [()] * 20)
    functions = async_tasks(f"{SITE}.whereabouts", [()] * 20)

    wait_rows(40, success=True)
    loops = {row.result for row in Task.objects.filter(pk__in=coroutines)}
    threads = {row.result[1] for row in Task.objects.filter(pk__in=functions)}
    assert len(loops) == 1
    assert 1 < len(threads) <= 4


def test_functions_in_a_worker_with_a_loop_only_run_too(
    database: str, redis_url: str, q_cluster: Start, cluster: Start
) -> None:
    q_cluster(redis=redis_url, workers=1, async_concurrency=10)
    cluster()

    slow = async_task(f"{SITE}.doze", 1)
    functions = async_tasks("tests.site.tasks.add", [(n, n) for n in range(50)])
    late = async_task("tests.site.tasks.sleep", 600, timeout=0.2)

    wait_rows(50, pk__in=functions, success=True)
    assert "its limit of 0.2 s" in wait_task(late).result
    assert wait_task(slow).success


def test_hooks_run_after_their_result_is_saved(
    database: str, redis_url: str, q_cluster: Start, cluster: Start, hooks_file: Path
) -> None:
    q_cluster(redis=redis_url, workers=1, **BOTH)
    cluster()
    hook = "tests.site.tasks.write_hook"

    for n in range(20):
        async_task("tests.site.tasks.add", n, n, hook=hook, task_name=f"function{n}")
        async_task(f"{SITE}.doze", 0.01, hook=hook, task_name=f"coroutine{n}")

    wanted = {f"hook {what}{n} True" for what in ("function", "coroutine") for n in range(20)}
    wait_until(
        lambda: hooks_file.exists() and set(hooks_file.read_text().splitlines()) == wanted,
        what="all hooks",
    )
    wait_empty()


@on("postgres")
def test_connections_are_closed_where_tasks_ran(
    place: dict[str, Any], q_cluster: Start, cluster: Start
) -> None:
    q_cluster(**place, workers=1, save_limit=0, **BOTH)
    cluster()

    fresh = async_tasks(f"{SITE}.connection_is_fresh", [()] * 20)
    counted = async_tasks(f"{SITE}.count_results", [()] * 20)

    wait_rows(40, success=True)
    assert all(row.result for row in Task.objects.filter(pk__in=fresh))
    assert all(row.result[1] for row in Task.objects.filter(pk__in=counted))


@every_start_method
def test_what_coroutines_leave_behind_harms_nobody(
    database: str, redis_url: str, q_cluster: Start, cluster: Start
) -> None:
    q_cluster(redis=redis_url, workers=1, async_concurrency=10)
    started: ClusterProcess = cluster()

    assert wait_task(async_task(f"{SITE}.leave_something")).success
    assert "CancelledError" in wait_task(async_task(f"{SITE}.cancel_all")).result
    assert wait_task(async_task("tests.site.tasks.answer")).result == 42
    assert not wait_task(async_task("tests.site.tasks.fail_later")).success
    assert started.stop() == 0


def test_what_was_cancelled_ends_and_its_neighbours_go_on(
    database: str, redis_url: str, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(redis=redis_url, workers=1, save_limit=0, **BOTH)
    started: ClusterProcess = cluster()
    cancelled = [async_task(f"{SITE}.step", 60_000), async_task(f"{SITE}.doze", 600)]
    others = [
        async_task(f"{SITE}.step", 200),
        async_task(f"{SITE}.record_dozing", trace.path, 1, 2),
    ]
    trace.wait_start(1)

    for task_id in cancelled:
        cancel(task_id)

    for task_id in cancelled:
        assert wait_task(task_id).cause == "cancelled"
    assert all(wait_task(task_id).success for task_id in others)
    assert "died" not in started.log()


@on("postgres")
def test_what_is_cancelled_at_any_price_costs_its_neighbours_a_start(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(**place, workers=1, save_limit=0, **BOTH)
    started: ClusterProcess = cluster()
    deaf = async_task("tests.site.tasks.sleep", 600)
    others = async_tasks(f"{SITE}.record_dozing", [(trace.path, n, 3.0) for n in range(3)])
    trace.wait_start(2)

    cancel(deaf, kill=True)

    assert wait_task(deaf).cause == "cancelled"
    wait_rows(3, pk__in=others, success=True)
    assert max(trace.started().values()) <= 2
    assert not Ledger.objects.exclude(deaths=0).exists()
    assert started.log().count("died (its task was cancelled)") == 1


def test_each_task_is_told_about_itself(
    database: str, redis_url: str, q_cluster: Start, cluster: Start
) -> None:
    q_cluster(redis=redis_url, workers=1, **BOTH)
    cluster()

    ids = [async_task(f"{SITE}.{name}") for name in ("tell_id", "tell_id_later") for _ in range(20)]

    wait_rows(40, success=True)
    assert {row.pk: row.result for row in Task.objects.all()} == {pk: [pk, pk] for pk in ids}


def test_a_queue_without_leases_is_worked_off_side_by_side_too(
    database: str, redis_url: str, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(redis=redis_url, receipts=False, workers=1, save_limit=0, **BOTH)
    cluster()

    async_tasks("tests.site.tasks.record", [(trace.path, f"f{n}", 0.01) for n in range(50)])
    async_tasks(f"{SITE}.record_dozing", [(trace.path, f"c{n}", 0.01) for n in range(50)])
    wait_rows(100, success=True)
    deadly = async_task("tests.site.tasks.kill_self")

    assert "signal SIGKILL" in wait_task(deadly).result
    assert trace.started() == trace.ended()
    assert set(trace.started().values()) == {1}
