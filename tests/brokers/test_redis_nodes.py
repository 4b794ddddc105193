"""The Redis broker on a Redis Cluster of several nodes: each queue lies on one of them."""

import socket
import time

import pytest
import redis
from redis.crc import key_slot

from django_q.brokers.redis_broker import Redis
from django_q.brokers.redis_list import RedisList
from django_q.conf import Conf
from django_q.exceptions import BrokerError, BrokerUnavailable
from tests.servers.base import free_port
from tests.servers.valkey_groups import AGREE_LIMIT, SLOTS, cluster_of
from tests.waiting import wait_until

# Where there is no such server, these tests are skipped.
pytestmark = pytest.mark.usefixtures("valkey")

#: Seconds that a busy machine may add to any time.
AIR = 3.0
#: Nodes that have slots.
NODES = 3


def names_of_queues():
    """A name for each node: the queue of that name lies there."""
    names = {}
    for number in range(1000):
        slot = key_slot(b"{django_q:mail-%d}" % number)
        names.setdefault(slot * NODES // SLOTS, f"mail-{number}")
    return [names[node] for node in range(NODES)]


@pytest.fixture(scope="module")
def nodes():
    with cluster_of(NODES) as nodes:
        yield nodes


@pytest.fixture
def make(request):
    """Function that makes a broker which is closed at the end."""

    def make(name="mail", kind=Redis):
        broker = kind(name)
        request.addfinalizer(broker.close)
        return broker

    return make


def settings_of(nodes):
    return {"startup_nodes": [f"127.0.0.1:{node.port}" for node in nodes]}


@pytest.mark.parametrize("name", names_of_queues())
def test_a_queue_on_any_node_is_served(nodes, q_cluster, make, name):
    q_cluster(redis=settings_of(nodes[:2]))
    broker, other = make(name), make(name)

    ids = broker.enqueue_many([str(number) for number in range(1200)])
    leases = other.lease(1000, 1.0)
    assert len(leases) == 1000
    assert (broker.queue_size(), broker.lock_size()) == (200, 1000)
    receipts = [lease.receipt for lease in leases]
    assert len(broker.renew(receipts)) == 1000
    broker.release(receipts[:500])
    broker.acknowledge_many(receipts[500:])
    assert broker.delete(ids[0])
    assert other.release_holder(other.holder) == 0
    assert (broker.queue_size(), broker.lock_size()) == (699, 0)
    assert broker.lease()[0].payload == "1"
    broker.delete_queue()
    assert broker.lease(1, 0.1) == []


def test_the_plain_list_is_served_too(nodes, q_cluster, make):
    q_cluster(redis=settings_of(nodes), receipts=False)
    broker = make(kind=RedisList)

    broker.enqueue_many(["a", "b", "c"])

    assert [lease.payload for lease in broker.lease(2)] == ["a", "b"]
    assert [lease.payload for lease in broker.lease(2, 1.0)] == ["c"]
    assert broker.lease(1, 0.1) == []


def test_all_nodes_together_tell_of_themselves(nodes, q_cluster, make):
    q_cluster(redis=settings_of(nodes))
    broker = make()
    keys = [f"{Conf.Q_STAT}:{number}" for number in range(9)]

    for key in keys:
        broker.set_stat(key, key, 30)

    assert broker.get_stats(f"{Conf.Q_STAT}:*") == keys
    assert broker.ping()
    name, version = broker.info().split()
    assert name in ("Redis", "Valkey")
    assert version[0].isdigit()


def test_a_queue_goes_on_when_its_node_dies(q_cluster, make):
    with cluster_of(NODES, replicas=1) as nodes:
        q_cluster(redis=settings_of(nodes))
        broker = make(names_of_queues()[0])
        broker.enqueue_many(["a", "b"])
        (lease,) = broker.lease()
        with redis.Redis(port=nodes[0].port) as client:
            client.wait(1, 10_000)

        nodes[0].kill()
        wait_until(lambda: sizes(broker) == (1, 1), AGREE_LIMIT)

        broker.acknowledge(lease.receipt)
        assert [lease.payload for lease in broker.lease(2, 1.0)] == ["b"]


def test_a_ping_is_about_the_node_of_the_queue(q_cluster, make):
    # Nobody takes the place of the one that dies, and the others go on.
    with cluster_of(NODES) as nodes:
        for node in nodes:
            node.ask("CONFIG SET", "cluster-require-full-coverage", "no")
        q_cluster(redis=settings_of(nodes))
        first, *others = [make(name) for name in names_of_queues()]
        assert all(broker.ping() for broker in (first, *others))

        nodes[0].kill()

        assert all(broker.ping() for broker in others)
        assert all(broker.enqueue("a") for broker in others)
        for call in (first.ping, lambda: first.enqueue("a")):
            with pytest.raises(BrokerUnavailable, match="See Q_CLUSTER"):
                call()


def sizes(broker):
    try:
        return broker.queue_size(), broker.lock_size()
    except BrokerError:
        return None


# Trouble.


def test_dead_nodes_are_told_at_once(q_cluster, make):
    port = free_port()
    q_cluster(redis={"startup_nodes": [("127.0.0.1", port)], "password": "se-cret"})
    began = time.monotonic()

    for call in (lambda: make().enqueue("a"), make().ping):
        with pytest.raises(BrokerUnavailable, match=f"127.0.0.1:{port}.* See Q_CLUSTER") as caught:
            call()
        assert "cret" not in str(caught.value)
        assert "localhost:6379" not in str(caught.value)

    assert time.monotonic() - began < 2 * AIR


def test_silent_nodes_are_told_in_time(q_cluster, make):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        q_cluster(redis={"startup_nodes": [silent.getsockname()] * 3})

        for call, limit in ((lambda: make().enqueue("a"), 5.0), (make().ping, 2.0)):
            began = time.monotonic()
            with pytest.raises(BrokerUnavailable, match="Redis"):
                call()
            assert time.monotonic() - began < limit + AIR
