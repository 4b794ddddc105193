"""Redis behind Sentinel and in Redis Cluster: the primary dies in a drain, and nothing is lost."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import redis
from redis.crc import key_slot

from django_q.brokers import get_broker
from django_q.models import Task
from django_q.tasks import async_tasks
from tests.cluster.ground import is_empty
from tests.cluster.trace import Trace
from tests.processes import ClusterProcess
from tests.servers import Valkey
from tests.servers.valkey_groups import AGREE_LIMIT, SLOTS, cluster_of, watched_pair
from tests.waiting import wait_until

# Where there is no such server, these tests are skipped.
pytestmark = pytest.mark.usefixtures("valkey")

Start = Callable[..., Any]
TASKS = 200
PACE = 0.02
#: Of the queue, on the first of three nodes.
QUEUE = next(n for n in map(str, range(99)) if key_slot(b"{django_q:%s}" % n.encode()) < SLOTS // 3)


class Group(NamedTuple):
    """Several servers: how they are reached, and who has the queue."""

    settings: dict[str, Any]
    primary: Valkey


@contextlib.contextmanager
def _sentinel() -> Iterator[Group]:
    with watched_pair() as (sentinel, primary, _):
        place = f"127.0.0.1:{sentinel.port}"
        yield Group({"sentinels": [place], "service_name": "shop"}, primary)


@contextlib.contextmanager
def _nodes() -> Iterator[Group]:
    with cluster_of(3, replicas=1) as nodes:
        yield Group({"startup_nodes": [f"127.0.0.1:{node.port}" for node in nodes]}, nodes[0])


@pytest.mark.parametrize("group", [_sentinel, _nodes], ids=["sentinel", "cluster"])
def test_a_drain_survives_its_primary(
    group: Callable[..., Any], database: str, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    with group() as (settings, primary):
        # What the primary had not told its replica yet comes back after `retry`.
        q_cluster(redis=settings, cluster_name=QUEUE, workers=2, retry=3, save_limit=0)
        started: ClusterProcess = cluster()
        async_tasks("tests.site.tasks.record", [(trace.path, n, PACE) for n in range(TASKS)])
        with redis.Redis(port=primary.port) as client:
            client.wait(1, 10_000)
        trace.wait_ends(TASKS // 4, 20)

        primary.kill()

        started.wait_log("The broker answers again", AGREE_LIMIT)
        trace.wait_ends(TASKS, AGREE_LIMIT)
        wait_until(lambda: Task.objects.filter(success=True).count() == TASKS, 30, what="results")
        wait_until(lambda: is_empty(get_broker()), 30, what="an empty queue")
        assert set(trace.ended()) == {str(n) for n in range(TASKS)}
        assert "Traceback" not in started.log()
