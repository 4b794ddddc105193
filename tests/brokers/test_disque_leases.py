"""When a lease of the Disque broker begins and ends, and what counts as a delivery."""

import pytest
import redis

from django_q.brokers.disque import Disque
from django_q.brokers.disque_nodes import Node
from tests.servers.disque_thread import ThreadedNode


@pytest.fixture
def server():
    with ThreadedNode() as server:
        yield server


@pytest.fixture
def configure(server, q_cluster):
    """Function that sets more settings."""
    return lambda **values: q_cluster(disque_nodes=[f"127.0.0.1:{server.port}"], **values)


@pytest.fixture
def broker(configure):
    configure(retry=10)
    broker = Disque("mail")
    yield broker
    broker.close()


def payloads(leases):
    return [lease.payload for lease in leases]


def receipts(leases):
    return [lease.receipt for lease in leases]


def fields(server, id):
    facts = server.call("SHOW", id)
    return facts and dict(zip((name.decode() for name in facts[::2]), facts[1::2], strict=True))


def known(server):
    return server.call("INFO", "jobs")["registered_jobs"]


# When a lease begins and ends.


def test_a_lease_begins_when_a_package_is_lent_however_long_it_waited(broker, server):
    broker.enqueue("a")
    server.advance(9)
    assert payloads(broker.lease(1)) == ["a"]

    server.advance(9)
    assert broker.lease(1) == []

    server.advance(2)
    assert payloads(broker.lease(1)) == ["a"]


def test_a_package_that_only_waited_was_not_delivered_before(broker, server):
    broker.enqueue("a")
    server.advance(35)

    assert [lease.deliveries for lease in broker.lease(1)] == [1]


def test_after_half_of_its_life_a_package_is_lent_but_not_renewed(broker, server, configure):
    configure(retry=10, disque_ttl=100)
    broker.enqueue_many("ab")
    young = receipts(broker.lease(1))
    server.advance(60)

    old = broker.lease(2)

    assert payloads(old) == ["a", "b"]
    assert broker.renew(young) == []
    assert broker.renew(receipts(old)) == []


def test_after_its_life_a_package_is_gone(broker, server, configure):
    configure(retry=10, disque_ttl=100)
    broker.enqueue("a")

    server.advance(102)

    assert broker.lease(1) == []


def test_a_package_deleted_while_it_is_being_lent_is_not_lent(broker, server, monkeypatch):
    ids = broker.enqueue_many("ab")
    run_many = Node.run_many

    def delete_first(self, calls):
        server.call("DELJOB", ids[0])
        return run_many(self, calls)

    monkeypatch.setattr(Node, "run_many", delete_first)

    assert payloads(broker.lease(5)) == ["b"]


def test_a_lease_is_given_also_if_the_node_goes_before_it_begins(broker, monkeypatch):
    broker.enqueue("a")

    def fail(self, calls):
        list(calls)
        raise redis.ConnectionError("gone")

    monkeypatch.setattr(Node, "run_many", fail)

    assert payloads(broker.lease(5)) == ["a"]


def test_an_old_receipt_is_as_good_as_a_new_one(broker, server):
    broker.enqueue("a")
    old = receipts(broker.lease(1))
    server.advance(10.5)
    assert receipts(broker.lease(1)) == old

    broker.acknowledge_many(old)

    assert known(server) == 0


# What counts.


def test_what_is_given_back_unstarted_is_a_nack_and_not_counted(broker, server):
    id = broker.enqueue("a")

    for _ in range(3):
        broker.release(receipts(broker.lease(1)))

    assert fields(server, id)["nacks"] == 3
    assert [lease.deliveries for lease in broker.lease(1)] == [1]


def test_what_is_given_back_started_is_counted_and_so_is_a_lapse(broker, server):
    broker.enqueue("a")

    broker.release(receipts(broker.lease(1)), counted=True)
    assert [lease.deliveries for lease in broker.lease(1)] == [2]

    server.advance(10.5)
    assert [lease.deliveries for lease in broker.lease(1)] == [3]


def test_what_is_put_off_by_retry_keeps_its_id_and_its_count(broker, server):
    id = broker.enqueue("a")
    lent = receipts(broker.lease(1))
    server.advance(5)

    broker.release(lent, 10, counted=True)

    server.advance(9)
    assert broker.lease(1) == []
    server.advance(2)
    (lease,) = broker.lease(1)
    assert (lease.id, lease.deliveries) == (id, 2)


@pytest.mark.parametrize(("delay", "counted"), [(3, True), (30, True), (10, False)])
def test_what_is_put_off_otherwise_comes_as_a_new_job(broker, server, delay, counted):
    id = broker.enqueue("a")
    lent = receipts(broker.lease(1))

    broker.release(lent, delay, counted=counted)

    assert known(server) == 1
    server.advance(delay - 0.5)
    assert broker.lease(1) == []
    server.advance(0.6)
    (lease,) = broker.lease(1)
    assert (lease.payload, lease.deliveries) == ("a", 1)
    assert lease.id != id
    assert broker.delete(lease.id)


def test_what_is_done_or_deleted_is_not_put_off(broker, server):
    broker.enqueue_many("ab")
    done, deleted = broker.lease(2)
    broker.acknowledge_many([done.receipt])
    broker.delete(deleted.id)

    broker.release([done.receipt, deleted.receipt], 3, counted=True)

    assert known(server) == 0
