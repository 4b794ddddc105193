"""What each broker holds back itself, and what the housekeeper hands to it when it is due."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.utils import timezone

from django_q.brokers import Broker, Lease, get_broker
from django_q.brokers.several import Several
from django_q.cluster.delayed import DelayedPackages
from django_q.exceptions import PackageError
from django_q.models import Delayed
from django_q.sealed import open_package
from django_q.tasks import async_task
from django_q.testing import BrokerSuite
from tests.servers.disque import DisqueNode
from tests.servers.ironmq_process import IronMQ

NOOP = "tests.site.tasks.noop"
DAY = 86_400.0


@pytest.fixture(scope="module")
def disque_node() -> Iterator[DisqueNode]:
    """One node of Disque."""
    node = DisqueNode().start()
    yield node
    node.stop()


@pytest.fixture(scope="module")
def iron() -> Iterator[IronMQ]:
    """A local IronMQ."""
    server = IronMQ().start()
    yield server
    server.stop()


@pytest.fixture
def broker(
    request: pytest.FixtureRequest, database: str, q_cluster: Callable[..., Any]
) -> Iterator[Broker]:
    """The broker of that kind, on a queue of its own."""
    name = BrokerSuite.queue_name()
    if request.param.startswith("sqs"):
        settings = {"sqs": request.getfixturevalue("moto").settings}
        name += ".fifo" if request.param == "sqs fifo" else ""
    elif request.param == "disque":
        settings = {"disque_nodes": [request.getfixturevalue("disque_node").url]}
    elif request.param == "ironmq":
        settings = {"iron_mq": request.getfixturevalue("iron").settings}
    else:
        url = request.getfixturevalue("redis_url")
        settings = {"redis": url, "receipts": request.param != "list"}
    q_cluster(**settings, cluster_name=name)
    broker = get_broker()
    assert broker.connection  # made now: the settings are gone when it is closed
    yield broker
    broker.delete_queue()
    broker.close()


#: The broker, and the longest delay that it takes itself.
LONGEST = [("redis", 1e8), ("disque", 0.7 * DAY), ("ironmq", 3 * DAY), ("sqs", 900.0)]
NONE = [("list", 0.0), ("sqs fifo", 0.0)]


@pytest.mark.parametrize(("broker", "longest"), LONGEST + NONE, indirect=["broker"])
def test_the_server_holds_back_for_as_long_as_it_can(broker: Broker, longest: float) -> None:
    if longest:
        async_task(NOOP, delay=longest - 5, broker=broker)
    assert not Delayed.objects.exists()
    assert broker.lease(1) == []

    task_id = async_task(NOOP, delay=min(longest + 60, 1e9), broker=broker)

    assert Delayed.objects.count() == (0 if broker.max_delay is None and longest else 1)
    if row := Delayed.objects.first():
        assert (row.task, row.queue) == (task_id, broker.list_key)


@pytest.mark.parametrize(("broker", "longest"), LONGEST[1:] + NONE, indirect=["broker"])
def test_what_was_kept_is_handed_on_when_it_is_due(broker: Broker, longest: float) -> None:
    task_id = async_task(NOOP, delay=longest + 60, broker=broker)
    delayed = DelayedPackages(broker)
    delayed.look()
    assert broker.lease(1) == []

    Delayed.objects.update(due=timezone.now())
    DelayedPackages(broker).look()

    (lease,) = broker.lease(1, 2.0)
    package = open_package(lease.payload, broker.list_key)
    assert (package["id"], package.get("derived")) == (task_id, True)
    assert not Delayed.objects.exists()


@pytest.mark.parametrize("broker", ["list", "disque", "ironmq", "sqs"], indirect=True)
def test_a_priority_is_refused_where_there_are_none(broker: Broker) -> None:
    with pytest.raises(PackageError) as error:
        async_task(NOOP, priority=5, broker=broker)

    assert f"the broker {type(broker).__name__} lends" in str(error.value)
    assert f'Q_CLUSTER["queues"] = ["urgent", "{broker.list_key}"]' in str(error.value)
    assert broker.lease(1) == []


@pytest.mark.parametrize("broker", ["list", "disque", "ironmq", "sqs"], indirect=True)
def test_several_queues_of_one_server_are_served_together(broker: Broker) -> None:
    names = [f"{broker.list_key}-{letter}" for letter in "ab"]
    both = Several(broker.list_key, names)
    for name in reversed(names):
        both.of_queue(name).enqueue(name)

    leases: list[Lease] = []
    while len(leases) < 2:
        came = both.lease(5, both.idle_wait)
        assert came, "nothing came"
        leases += came
    assert [(lease.queue, lease.payload) for lease in leases] == [(name, name) for name in names]

    if both.has_receipts:
        first, second = [lease.receipt or "" for lease in leases]
        assert both.renew([second, first]) == [second, first]
        both.acknowledge_many([first])
        both.release([second])
        (again,) = both.lease(5, both.idle_wait)
        assert (again.queue, again.payload) == (names[1], names[1])
    both.delete_queue()
    both.close()
