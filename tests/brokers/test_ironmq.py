"""The IronMQ broker keeps the contract."""

import pytest

from django_q.brokers.base import Broker
from django_q.brokers.ironmq import IronMQBroker
from django_q.testing import BrokerSuite
from tests.servers.base import free_port
from tests.servers.ironmq_process import IronMQ


@pytest.fixture(scope="module")
def ironmq():
    server = IronMQ().start()
    yield server
    server.stop()


class TestIronMQ(BrokerSuite):
    """On the local server, whose clock can be turned."""

    #: The shortest lease and, so that machines may be slow, as long a delay.
    retry = 30.0
    delay = 30.0
    #: As much as a large plan takes, but for what stands around it.
    large = 262_000
    takes_empty = False
    #: `size` counts what is leased or held back too.
    exact_sizes = False

    @pytest.fixture(autouse=True)
    def place(self, ironmq, q_cluster):
        self.server, self.configure = ironmq, q_cluster
        q_cluster(iron_mq=ironmq.settings)

    def make_broker(self) -> Broker:
        broker = IronMQBroker(self.queue_name())
        # The settings are gone when the queue is removed behind a test that asked for nothing.
        assert broker.connection
        return broker

    def make_dead_broker(self) -> Broker:
        self.configure(iron_mq={**self.server.settings, "port": free_port()})
        return IronMQBroker(self.queue_name())

    def advance(self, seconds: float) -> None:
        self.server.advance(seconds)
