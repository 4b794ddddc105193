"""Time limits: soft at `timeout`, hard `grace` later, whatever the task does."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_q.models import Ledger, Task
from django_q.tasks import async_task, async_tasks
from tests.cluster.ground import (
    AIR,
    RETRY,
    every_start_method,
    living,
    on,
    on_all_when_long,
    wait_empty,
    wait_rows,
    wait_task,
)
from tests.cluster.trace import Trace
from tests.waiting import wait_until

LIMIT, GRACE = 1, 1
#: What the promise allows beyond both, and some.
LATER = 1 + AIR

Start = Callable[..., Any]

#: The soft limit ends these, and their worker lives on.
POLITE = {"sleep": (600,), "busy": (), "backtrack": ()}
#: These do not hear of it.
STUBBORN = {"hold_interpreter": (), "long_call": (), "swallow_everything": (), "block_signals": ()}


@pytest.mark.parametrize("is_polite", [True, False], ids=["polite", "stubborn"])
def test_a_task_beyond_its_limit_is_a_failed_row(
    is_polite: bool,
    database: str,
    redis_url: str,
    q_cluster: Start,
    cluster: Start,
    hooks_file: Path,
) -> None:
    tasks: dict[str, tuple[Any, ...]] = POLITE if is_polite else STUBBORN
    q_cluster(redis=redis_url, workers=len(tasks) + 1, retry=RETRY, timeout=LIMIT, grace=GRACE)
    started = cluster()
    hook = "tests.site.tasks.write_hook"

    ids = {
        async_task(f"tests.site.tasks.{name}", *args, hook=hook, task_name=name): args
        for name, args in tasks.items()
    }
    began = time.monotonic()
    others = async_tasks("tests.site.tasks.add", [(n, 1) for n in range(20)])
    wait_rows(20, pk__in=others, success=True)
    # What waits a second behind a slow task is given back.
    assert time.monotonic() - began < LIMIT + GRACE + LATER
    wait_rows(len(ids), LIMIT + GRACE + LATER, pk__in=ids)

    limit = "its limit of 1 s" if is_polite else "its hard limit of 2 s"
    for row in Task.objects.filter(pk__in=ids):
        assert not row.success
        assert f"ran longer than {limit}" in row.result
        assert row.args == ids[row.pk]
    assert started.log().count("died (hard limit)") == (0 if is_polite else len(tasks))
    hooks = {f"hook {name} False" for name in tasks}
    wait_until(lambda: set(hooks_file.read_text().splitlines()) == hooks, what="the hooks")
    wait_empty()
    wait_until(lambda: not Ledger.objects.exists(), what="an empty ledger")


@on("redis", "postgres")
def test_limits_of_single_tasks_win(
    place: dict[str, Any], q_cluster: Start, cluster: Start
) -> None:
    q_cluster(**place, workers=2, timeout=LIMIT, grace=GRACE)
    cluster()

    longer = async_task("tests.site.tasks.sleep", 2.5, timeout=10)
    unlimited = async_task("tests.site.tasks.sleep", 2.5, timeout=-1)
    shorter = async_task("tests.site.tasks.sleep", 600, timeout=0.2)

    assert wait_task(longer).success
    assert wait_task(unlimited).success
    assert "longer than its limit of 0.2 s" in wait_task(shorter).result


@on_all_when_long("redis", "postgres", "sqlite")
def test_a_killed_task_leaves_no_children(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(**place, workers=1, retry=RETRY, timeout=LIMIT, grace=GRACE)
    cluster()

    task_id = async_task("tests.site.odd.start_stubborn_children", trace.path)

    assert "hard limit" in wait_task(task_id, LIMIT + GRACE + LATER).result
    pids = [int(line) for line in Path(trace.path).read_text().split()]
    assert len(pids) == 2
    wait_until(lambda: not living(pids), what="the end of the children")


def test_a_worker_goes_on_after_a_soft_limit(
    database: str, redis_url: str, q_cluster: Start, cluster: Start
) -> None:
    q_cluster(redis=redis_url, workers=1, timeout=0.2)
    cluster()
    before = wait_task(async_task("tests.site.tasks.process")).result

    late = [async_task("tests.site.tasks.sleep", 600) for _ in range(5)]

    wait_rows(5, pk__in=late, success=False)
    assert wait_task(async_task("tests.site.tasks.process")).result == before


@every_start_method
def test_hooks_and_receivers_have_limits_of_their_own(
    database: str, redis_url: str, q_cluster: Start, cluster: Start
) -> None:
    q_cluster(redis=redis_url, workers=1, timeout=LIMIT, grace=GRACE)
    started = cluster()

    hanging = async_task("tests.site.tasks.add", 1, 2, hook="tests.site.tasks.hanging_hook")
    deaf = async_task("tests.site.tasks.add", 2, 2, hook="tests.site.odd.deaf_hook")
    after = async_task("tests.site.tasks.add", 3, 3)

    assert wait_task(hanging).result == 3
    assert wait_task(deaf).result == 4
    assert wait_task(after, 10).result == 6
    started.wait_log("hook .* raised")
    started.wait_log(r"died \(hard limit\)")
    wait_empty()
    # The task itself was done: its hook's death is not charged to it.
    assert Task.objects.filter(success=True).count() == 3
