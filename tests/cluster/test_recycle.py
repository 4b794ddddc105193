"""Workers that leave by themselves, after enough tasks or with too much memory."""

from collections.abc import Callable
from typing import Any

from django_q.brokers import get_broker
from django_q.tasks import async_task, async_tasks, fetch_group
from tests.cluster.ground import RETRY, on, stat_of, wait_empty, wait_rows, wait_task
from tests.cluster.trace import Trace
from tests.processes import ClusterProcess
from tests.waiting import wait_until

Start = Callable[..., Any]


@on("redis", "postgres")
def test_a_worker_is_replaced_after_recycle_tasks(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(**place, workers=2, retry=RETRY, recycle=100, save_limit=0)
    started: ClusterProcess = cluster()

    async_tasks("tests.site.tasks.record", [(trace.path, n) for n in range(1000)])

    wait_empty(RETRY / 2)
    wait_rows(1000, success=True)
    assert set(trace.started().values()) == {1}
    by_worker: dict[str, int] = {}
    for _, pid in trace.lines("end"):
        by_worker[pid] = by_worker.get(pid, 0) + 1
    assert max(by_worker.values()) == 100
    assert len(by_worker) >= 10
    assert "worker-1 is replaced after 100 tasks" in started.log()
    assert "left and is replaced" in started.log()
    assert "ERROR" not in started.log()
    assert started.stop() == 0


def test_a_worker_is_replaced_when_it_uses_too_much_memory(
    database: str, redis_url: str, q_cluster: Start, cluster: Start
) -> None:
    q_cluster(redis=redis_url, workers=1, max_rss=300_000)
    started: ClusterProcess = cluster()
    (first,) = stat_of(started).workers

    wait_task(async_task("tests.site.tasks.allocate", 10 * 2**20))
    assert stat_of(started).workers == [first]
    wait_task(async_task("tests.site.tasks.allocate", 400 * 2**20))

    started.wait_log(r"worker-1 is replaced: it uses \d+ KiB")
    wait_until(lambda: stat_of(started).workers not in ([first], []), what="a new worker")
    assert wait_task(async_task("tests.site.tasks.add", 1, 2)).result == 3
    assert "ERROR" not in started.log()


def test_what_waits_in_a_worker_that_leaves_goes_on(
    database: str, redis_url: str, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(redis=redis_url, workers=1, retry=RETRY, recycle=1, save_limit=0)
    cluster()

    async_tasks("tests.site.tasks.record", [(trace.path, n) for n in range(15)], group="all")

    wait_until(lambda: len(list(fetch_group("all"))) == 15, RETRY / 2)
    wait_empty()
    assert len({pid for _, pid in trace.lines("end")}) == 15
    assert get_broker().lock_size() == 0
