"""The plain Redis list keeps what it can of the contract, and is the list of Django Q."""

import pytest

from django_q.brokers import get_broker
from django_q.brokers.base import Broker
from django_q.brokers.redis_broker import Redis
from django_q.brokers.redis_list import RedisList
from django_q.testing import BrokerSuite
from tests.servers.base import free_port


class TestRedisList(BrokerSuite):
    """Fire and forget."""

    @pytest.fixture(autouse=True)
    def server(self, redis_url, q_cluster):
        self.configure = q_cluster
        q_cluster(redis=redis_url, receipts=False)

    def make_broker(self) -> Broker:
        return RedisList(self.queue_name())

    def make_dead_broker(self) -> Broker:
        self.configure(redis=f"redis://127.0.0.1:{free_port()}")
        return RedisList(self.queue_name())


def test_without_receipts_the_settings_choose_it(redis_url, q_cluster):
    q_cluster(redis=redis_url, receipts=False, name="mail")
    broker = get_broker()

    ids = [broker.enqueue("a"), *broker.enqueue_many(["b", "c"])]

    assert type(broker) is RedisList
    assert ids == ["1", "2", "3"]
    assert broker.connection.lrange("django_q:mail:q", 0, -1) == [b"a", b"b", b"c"]
    assert [tuple(lease) for lease in broker.lease(2)] == [(None, "a"), (None, "b")]
    broker.close()


# The leasing broker beside older releases, which use the same list.


def test_what_older_producers_left_is_lent_too(redis_url, q_cluster):
    q_cluster(redis=redis_url)
    broker, other = Redis("mail"), Redis("mail")
    broker.connection.rpush("django_q:mail:q", "old", "older")
    broker.enqueue("new")
    assert broker.queue_size() == 3

    leases = broker.lease(5)
    assert [lease.payload for lease in leases] == ["new", "old", "older"]
    assert len({lease.id for lease in leases}) == 3

    broker.release([lease.receipt for lease in leases[1:]])
    old, older = other.lease(2)
    assert (old.payload, older.payload, old.deliveries) == ("old", "older", 1)
    assert other.delete(old.id)
    other.acknowledge(older.receipt)
    assert (broker.queue_size(), broker.lock_size()) == (0, 1)
    broker.close()
    other.close()


def test_older_and_newer_producers_have_their_turns(redis_url, q_cluster):
    q_cluster(redis=redis_url)
    broker = Redis("mail")
    broker.enqueue_many(f"new {number}" for number in range(20))
    broker.connection.rpush("django_q:mail:q", *(f"old {number}" for number in range(20)))

    broker.lease(10)
    broker.enqueue_many(f"late {number}" for number in range(20))
    came = [lease.payload for _ in range(5) for lease in broker.lease(10)]

    assert came.index("old 9") < came.index("late 0") < came.index("late 19")
    assert len(came) == 50
    broker.close()


def test_producers_write_for_older_releases_if_told_to(redis_url, q_cluster):
    q_cluster(redis=redis_url, legacy="write")
    broker = Redis("mail")

    broker.enqueue_many(["a", "b"])
    broker.enqueue_many(["later"], delay=60)

    assert broker.connection.lrange("django_q:mail:q", 0, -1) == [b"a", b"b"]
    assert [lease.payload for lease in broker.lease(5, 1.0)] == ["a", "b"]
    broker.purge_queue()
    broker.close()
