"""Brokers that are paid by the request: an idle cluster asks seldom, a busy one in batches."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from django_q.brokers import get_broker
from django_q.models import Task
from django_q.tasks import async_tasks
from tests.cluster.ground import LONG, is_empty
from tests.servers import Relay, Server
from tests.servers.ironmq_process import IronMQ
from tests.waiting import wait_until

Start = Callable[..., Any]

#: Seconds an idle cluster is watched. Long polls begin together, so a minute is three rounds.
WATCH = 60.0 if LONG else 25.0
#: What a cluster of four workers may ask in a minute when there is nothing to do.
A_MINUTE = 15
TASKS = 1000
#: Sending, receiving and acknowledging a thousand tasks, ten in a call, with some air.
MOST = 350


@pytest.fixture
def sqs_requests(ministack: Server, q_cluster: Start) -> Iterator[Callable[[], int]]:
    """Amazon SQS behind a relay that counts."""
    with Relay(ministack.url) as relay:
        name = f"metered-{time.monotonic_ns()}"
        q_cluster(sqs=relay.settings, cluster_name=name, workers=4, save_limit=0, cache="shared")
        yield lambda: relay.total


@pytest.fixture
def ironmq_requests(q_cluster: Start) -> Iterator[Callable[[], int]]:
    """The local IronMQ server, which counts."""
    server = IronMQ().start()
    q_cluster(iron_mq=server.settings, workers=4, save_limit=0, cache="shared")
    yield server.total
    server.stop()


@pytest.fixture(params=["sqs", "ironmq"])
def requests(request: pytest.FixtureRequest) -> Callable[[], int]:
    """How many requests the server has had so far."""
    count: Callable[[], int] = request.getfixturevalue(f"{request.param}_requests")
    return count


def test_an_idle_cluster_asks_seldom(
    database: str, requests: Callable[[], int], cluster: Start
) -> None:
    cluster()
    wait_until(lambda: requests() > 4, 20, what="the first long polls")
    time.sleep(2.0)  # each worker has begun its own; what follows is idle time to be measured
    before = requests()

    time.sleep(WATCH)

    assert requests() - before <= A_MINUTE * WATCH / 60 + 4, "requests of four idle workers"


def test_a_thousand_tasks_are_sent_fetched_and_acknowledged_in_batches(
    database: str, requests: Callable[[], int], cluster: Start
) -> None:
    before = requests()
    async_tasks("tests.site.tasks.noop", [()] * TASKS)

    cluster()
    wait_until(lambda: Task.objects.filter(success=True).count() == TASKS, 60, what="results")
    needed = requests() - before

    assert needed <= MOST
    wait_until(lambda: is_empty(get_broker()), 10, what="an empty queue")
