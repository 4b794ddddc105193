"""Whole clusters on every broker with receipts: nothing is lost when workers die or servers go."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from django_q.brokers import get_broker
from django_q.models import Task
from django_q.tasks import async_task, async_tasks, attempts
from tests.cluster.ground import LONG, is_empty, wait_task
from tests.cluster.trace import Trace
from tests.processes import ClusterProcess
from tests.servers import Server
from tests.waiting import wait_until

#: Tasks of a drain: some ten seconds for two clusters of two workers.
TASKS = 2000 if LONG else 600
PACE = 0.02
#: Every how many seconds a worker is killed.
KILL_EVERY = 1.0
#: What a dead worker of IronMQ had renewed comes back after 30 s only: it must end some day.
MOST_KILLS = 10

Start = Callable[..., Any]


class Far(NamedTuple):
    """A broker somewhere else: what `Q_CLUSTER` says of it, and its server."""

    settings: dict[str, Any]
    servers: list[Server]


@contextlib.contextmanager
def _disque() -> Iterator[Far]:
    from tests.servers.disque import disque_cluster

    with disque_cluster(2) as nodes:
        yield Far({"disque_nodes": [node.url for node in nodes], "retry": 5}, list(nodes))


@contextlib.contextmanager
def _ironmq(*options: str) -> Iterator[Far]:
    from tests.servers.ironmq_process import IronMQ

    server = IronMQ(*options).start()
    try:
        yield Far({"iron_mq": server.settings, "retry": 30}, [server])
    finally:
        server.stop()


#: The database of the results beside the broker: PostgreSQL keeps both.
EVERY = [("default", name) for name in ("redis", "sqs", "disque", "ironmq")]
every_broker = pytest.mark.parametrize(
    ("database", "far"), [*EVERY, ("postgres", "postgres")], indirect=True, ids=lambda value: value
)


@pytest.fixture
def far(request: pytest.FixtureRequest, q_cluster: Start) -> Iterator[Far]:
    """Each broker with receipts, configured, for two workers a cluster."""
    with contextlib.ExitStack() as stack:
        if request.param == "redis":
            url = request.getfixturevalue("redis_url")
            far = Far({"redis": url, "retry": 5}, [request.getfixturevalue("valkey")])
        elif request.param == "postgres":
            far = Far({"orm": "postgres", "retry": 5}, [request.getfixturevalue("postgres")])
        elif request.param == "sqs":
            server: Any = request.getfixturevalue("ministack")
            far = Far({"sqs": server.settings, "retry": 5}, [server])
        else:
            far = stack.enter_context(_disque() if request.param == "disque" else _ironmq())
        name = f"every-{request.param}-{os.getpid()}-{time.monotonic_ns()}"
        q_cluster(**far.settings, cluster_name=name, workers=2, save_limit=0, cache="shared")
        yield far


@pytest.fixture
def quick_ironmq(far: Far) -> Iterator[Far]:
    """IronMQ with a clock that runs ten times as fast, where IronMQ is what is tested."""
    is_wanted = "iron_mq" in far.settings and not LONG
    with _ironmq("--speed", "10") if is_wanted else contextlib.nullcontext(far) as quick:
        yield quick


def _drained(trace: Trace, limit: float, between: Callable[[], None]) -> None:
    """Wait until all tasks have ended, doing something now and then."""
    end = time.monotonic() + limit
    following = time.monotonic() + KILL_EVERY
    while len(trace.ended()) < TASKS:
        assert time.monotonic() < end, f"{len(trace.ended())} of {TASKS} tasks ended"
        if time.monotonic() > following:
            following += KILL_EVERY
            between()
        time.sleep(0.05)


def _settled(broker: Any) -> None:
    wait_until(lambda: Task.objects.filter(success=True).count() == TASKS, 90, what="all results")
    wait_until(lambda: is_empty(broker), 90, what="an empty queue")


@every_broker
@pytest.mark.timeout(400)
def test_two_clusters_drain_while_workers_are_killed(
    database: str, far: Far, cluster: Start, trace: Trace
) -> None:
    clusters: list[ClusterProcess] = [cluster(), cluster()]
    async_tasks("tests.site.tasks.record", [(trace.path, n, PACE) for n in range(TASKS)])
    kills: list[int] = []

    def kill_one() -> None:
        if len(trace.started()) < TASKS and len(kills) < MOST_KILLS:
            kills.append(trace.newest_pid())
            with contextlib.suppress(ProcessLookupError):
                os.kill(kills[-1], signal.SIGKILL)

    _drained(trace, 180, kill_one)

    _settled(get_broker())
    assert len(trace.ended()) == TASKS
    assert trace.started().total() - TASKS <= len(kills)
    assert all(one.is_running for one in clusters)


@every_broker
@pytest.mark.timeout(400)
def test_a_server_that_goes_away_for_a_while_loses_nothing(
    database: str, far: Far, cluster: Start, trace: Trace
) -> None:
    cluster()
    async_tasks("tests.site.tasks.record", [(trace.path, n, PACE) for n in range(TASKS)])
    wait_until(lambda: len(trace.ended()) > TASKS // 4, 60, what="a quarter of the tasks")

    for server in far.servers:
        server.pause()
    time.sleep(10.0)  # the length of the absence is what this is about
    for server in far.servers:
        server.resume()
    _drained(trace, 180, lambda: None)

    _settled(get_broker())
    assert len(trace.ended()) == TASKS


@every_broker
def test_a_task_longer_than_retry_runs_once(
    database: str, far: Far, quick_ironmq: Far, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    retry, length = (2 if "disque_nodes" in far.settings else 1), 8.0
    if "iron_mq" in far.settings and LONG:
        retry, length = 30, 40.0
    elif "iron_mq" in far.settings:
        # Its shortest lease is 30 s. Here ten of the server's seconds are one of ours.
        far, retry = quick_ironmq, 3
    settings = far.settings | {"retry": retry}
    q_cluster(**settings, cluster_name=f"long-{time.monotonic_ns()}", workers=2, cache="shared")
    cluster()

    async_task("tests.site.tasks.record", trace.path, "long", length)

    trace.wait_ends(1, limit=length + 30)
    wait_until(lambda: is_empty(get_broker()), 30, what="an empty queue")
    assert trace.started() == {"long": 1}


@pytest.mark.parametrize(("database", "far"), EVERY[1:], indirect=True, ids=lambda value: value)
@pytest.mark.timeout(120)
def test_what_fails_is_held_back_and_tried_again(
    database: str, far: Far, cluster: Start, trace: Trace
) -> None:
    cluster()

    task_id = async_task(
        "tests.site.flows.fail_first", trace.path, "t", 2, max_attempts=3, retry_delay=1, jitter=0
    )

    task = wait_task(task_id, 30)
    (first,) = attempts(task_id)
    assert (task.success, task.attempt_count) == (True, 2)
    assert (task.started - first.stopped).total_seconds() >= 1
    wait_until(lambda: is_empty(get_broker()), 30, what="an empty queue")
