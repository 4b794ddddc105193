"""A node of Disque that dies or freezes while others live: nothing is lost, work goes on."""

import logging
import time

import pytest

from django_q.brokers.disque import Disque
from django_q.conf import Conf
from django_q.exceptions import BrokerError
from tests.servers.disque import disque_cluster
from tests.waiting import wait_until


@pytest.fixture
def make(request):
    """Function that makes a broker which is closed at the end."""

    def make():
        broker = Disque("mail")
        request.addfinalizer(broker.close)
        return broker

    return make


@pytest.fixture
def pair(q_cluster):
    """Two nodes that know each other, and settings that name both."""
    with disque_cluster(2, "--node-timeout", "1") as nodes:
        q_cluster(disque_nodes=[node.url for node in nodes], retry=2)
        yield nodes


def payloads(leases):
    return [lease.payload for lease in leases]


def receipts(leases):
    return [lease.receipt for lease in leases]


def take(broker, limit=6.0):
    """Lease until something comes."""
    return wait_until(lambda: broker.lease(10, 0.5), limit)


def addresses(broker):
    return {node.address for node in broker.connection.each(lambda node: node)}


def use(broker, node):
    """Let the broker use this node."""
    nodes = broker.connection
    nodes._nodes.sort(key=lambda other: other.address != node.url)


def test_work_goes_on_when_the_node_in_use_dies(pair, make, caplog):
    one, other = pair
    producer, worker = make(), make()
    for broker in (producer, worker):
        use(broker, one)
    producer.enqueue("a")
    (lent,) = receipts(worker.lease(1))

    one.kill()

    assert worker.ping()
    began = time.monotonic()
    assert producer.enqueue_many("bc")
    assert time.monotonic() - began < 5
    assert sorted(payloads(take(worker))) in (["b", "c"], ["a", "b", "c"])
    assert worker.queue_size() <= 1
    assert addresses(worker) == {other.url}
    worker.acknowledge_many([lent])


def test_a_package_that_a_dead_node_lent_comes_from_another(pair, make):
    one, other = pair
    broker = make()
    use(broker, one)
    broker.enqueue("a")
    (lease,) = broker.lease(1)
    assert lease.receipt.endswith(one.url)

    one.kill()

    (again,) = take(broker)
    assert (again.payload, again.id, again.deliveries) == ("a", lease.id, 2)
    assert again.receipt.endswith(other.url)


def test_a_receipt_of_a_dead_node_is_good_at_another(pair, make):
    one, _ = pair
    broker = make()
    use(broker, one)
    broker.enqueue_many("abc")
    done, kept, returned = receipts(broker.lease(3))

    one.kill()
    broker.acknowledge_many([done])
    broker.release([returned])
    assert broker.renew([kept, done]) == [kept]
    assert payloads(broker.lease(5)) == ["c"]

    end = time.monotonic() + 3
    while time.monotonic() < end:
        assert broker.renew([kept]) == [kept]
        assert "a" not in payloads(broker.lease(5, 0.3))
    broker.acknowledge_many([kept])


def test_a_frozen_node_delays_one_call(pair, make):
    one, _ = pair
    broker = make()
    use(broker, one)
    one.pause()
    began = time.monotonic()

    assert broker.lease(1, 0.1) == []
    assert time.monotonic() - began < 5

    began = time.monotonic()
    assert broker.lease(1, 0.1) == []
    assert time.monotonic() - began < 2
    one.resume()


def test_packages_get_fewer_copies_when_too_few_nodes_are_left(pair, make, caplog):
    one, other = pair
    broker = make()
    one.kill()

    with caplog.at_level(logging.WARNING, "django-q"):
        broker.enqueue("a")
        broker.enqueue("b")

    texts = [record.getMessage() for record in caplog.records]
    assert texts == [
        f"Disque at {other.url} reaches too few nodes: packages are kept on 1 of them."
    ]
    assert broker.queue_size() == 2


def test_copies_that_were_asked_for_are_not_given_up(pair, make, q_cluster):
    q_cluster(disque_nodes=[node.url for node in pair], disque_replicate=2)
    broker = make()
    id = broker.enqueue("a")
    assert broker.connection.each(lambda node: bool(node.run("SHOW", id))) == [True, True]

    pair[0].kill()

    with pytest.raises(BrokerError, match=r"disque_replicate.*NOREPL"):
        broker.enqueue("b")


def test_at_most_once_is_kept_on_one_node(pair, make, monkeypatch):
    broker = make()

    with monkeypatch.context() as patch:
        patch.setattr(Conf, "RETRY", 0)
        id = broker.enqueue("a")

    assert sorted(broker.connection.each(lambda node: bool(node.run("SHOW", id)))) == [False, True]
    assert receipts(take(broker)) == [None]
    assert broker.connection.each(lambda node: node.run("SHOW", id)) == [None, None]


def test_a_worker_finds_what_waits_on_any_node(pair, make):
    one, other = pair
    producer, worker = make(), make()
    use(producer, one)
    use(worker, other)
    worker.lease(1)

    producer.enqueue_many("ab")

    assert worker.queue_size() == 2
    assert sorted(payloads(take(worker)) + payloads(worker.lease(5))) == ["a", "b"]


def test_what_is_deleted_is_deleted_on_all_nodes(pair, make):
    producer, worker = make(), make()
    use(producer, pair[0])
    use(worker, pair[1])
    first, second = producer.enqueue_many("ab")

    assert worker.delete(first)
    assert not worker.delete(first)
    worker.purge_queue()

    nodes = producer.connection
    wait_until(lambda: nodes.each(lambda node: node.run("SHOW", second)) == [None, None])
    assert nodes.each(lambda node: node.run("INFO", "jobs")["registered_jobs"]) == [0, 0]
