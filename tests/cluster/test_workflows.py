"""Tasks that follow from others, at work: chains with results, callbacks, groups."""

import collections
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django_q.models import Task
from django_q.tasks import (
    FailedResult,
    async_chain,
    async_group,
    async_task,
    result,
    result_group,
)
from tests.cluster.ground import RETRY, on, wait_empty, wait_rows, wait_task
from tests.cluster.trace import Trace
from tests.waiting import wait_until

Start = Callable[..., Any]

#: Groups that end under two clusters, and how many tasks each has.
GROUPS, PARTS, KILLS = 24, 4, 3


@on("redis", "postgres")
def test_results_are_handed_on_and_ends_are_told(
    place: dict[str, Any], q_cluster: Start, cluster: Start, tmp_path: Path
) -> None:
    q_cluster(**place, workers=2, retry=RETRY, grace=1)
    cluster()
    told = tmp_path / "told"

    def tell(word: str) -> Any:
        return ("tests.site.flows.note", (str(told), word))

    grow = "tests.site.flows.grow"
    chain = async_chain([(grow, (1, 2)), grow, (grow, (), {"second": 10})], pass_result=True)
    ends = {"on_success": tell("success"), "on_failure": tell("failure")}
    async_task("tests.site.tasks.add", 1, 1, **ends)
    async_task("tests.site.tasks.fail", "first", **ends)
    async_task("tests.site.tasks.fail", "again", max_attempts=2, retry_delay=0.1, **ends)
    async_task("tests.site.tasks.sleep", 60, timeout=0.5, **ends)
    async_task("tests.site.tasks.sleep", 60, timeout=0.5, **ends, on_timeout=tell("timeout"))

    assert list(result_group(chain, wait=15_000, count=3)) == [14, 4, 3]
    wait_until(lambda: len(lines(told)) == 5, 15, what="five ends")
    late = "The task ran longer than its limit of 0.5 s"
    expected = ["success 2", "failure first", "failure again", f"failure {late}", f"timeout {late}"]
    assert sorted(lines(told)) == sorted(expected)
    wait_empty()


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@on("redis", "postgres")
def test_a_callback_gets_all_results_in_their_order(
    place: dict[str, Any], q_cluster: Start, cluster: Start
) -> None:
    q_cluster(**place, workers=2, retry=RETRY)
    cluster()
    echo = "tests.site.tasks.echo"

    group = async_group(
        [("tests.site.tasks.sleep", (0.3,)), ("tests.site.tasks.fail", ("no",)), (echo, ("x",))],
        callback=(echo, (), {"also": 1}),
    )
    empty = async_group([], callback=echo)

    assert group.callback_id is not None and empty.callback_id is not None
    (values,), also = result(group.callback_id, wait=15_000)
    assert (values[0], values[2], also) == (0.3, (("x",), {}), {"also": 1})
    assert isinstance(values[1], FailedResult)
    assert values[1].startswith("no : Traceback")
    assert Task.objects.filter(group=group).count() == 3
    assert wait_task(empty.callback_id).result == (([],), {})


@on("redis", "postgres")
def test_callbacks_are_exact_under_two_clusters_and_killed_workers(
    place: dict[str, Any], q_cluster: Start, cluster: Start, tmp_path: Path
) -> None:
    q_cluster(**place, workers=2, retry=RETRY, save_limit=0)
    cluster()
    cluster()
    (tmp_path / "parts").touch()
    parts, ends = Trace(tmp_path / "parts"), Trace(tmp_path / "ends")
    record, total = "tests.site.tasks.record", "tests.site.flows.total"

    groups = [
        async_group(
            [(record, (parts.path, n, 0.01 if n % 2 else 0.0)) for _ in range(PARTS)],
            callback=(total, (ends.path, n)),
        )
        for n in range(GROUPS)
    ]
    killed: set[int] = set()
    for n in range(1, KILLS + 1):
        progress = n * GROUPS * PARTS // 6
        wait_until(lambda p=progress: parts.ended().total() >= p, 30, what="progress")
        pid = parts.newest_pid()
        if pid not in killed:
            killed.add(pid)
            os.kill(pid, signal.SIGKILL)

    ids = [group.callback_id for group in groups]
    wait_rows(GROUPS, 40, pk__in=ids, success=True)
    wait_empty()
    sums = dict(Task.objects.filter(pk__in=ids).values_list("pk", "result"))
    assert sums == {group.callback_id: (PARTS * n, 0) for n, group in enumerate(groups)}
    # Each has run once; what was cut off by a kill has run again.
    assert set(ends.ended().values()) == {1}
    starts = collections.Counter(token for token, _ in ends.lines("start"))
    again = [token for token, count in starts.items() if count > 1]
    cut = [token for token, pid in ends.lines("start") if int(pid) in killed]
    assert set(again) <= set(cut)
