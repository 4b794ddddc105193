"""The plain Redis list keeps what it can of the contract, and is the list of Django Q."""

import pytest

from django_q.brokers import get_broker
from django_q.brokers.base import Broker
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
