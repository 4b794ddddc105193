"""The Redis broker keeps the contract, and what is special to it."""

import pytest

from django_q.brokers.base import Broker
from django_q.brokers.redis_broker import Redis
from django_q.testing import BrokerSuite


class TestRedis(BrokerSuite):
    """Redis or Valkey, whichever the tests found."""

    @pytest.fixture(autouse=True)
    def server(self, redis_url, q_cluster):
        q_cluster(redis=redis_url)

    def make_broker(self) -> Broker:
        return Redis(self.queue_name())
