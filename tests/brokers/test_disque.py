"""The Disque broker keeps the contract, on one node and on two."""

import pytest

from django_q.brokers.base import Broker
from django_q.brokers.disque import Disque
from django_q.testing import BrokerSuite
from tests.servers.base import free_port
from tests.servers.disque import DisqueNode, disque_cluster

#: Seconds that a requeue time may be later than RETRY says, and a slow node later still.
SPREAD = 0.35


@pytest.fixture(scope="module")
def node():
    """One node for all tests here."""
    node = DisqueNode().start()
    yield node
    node.stop()


@pytest.fixture(scope="module")
def pair():
    """Two nodes that know each other."""
    with disque_cluster(2) as nodes:
        yield nodes


class TestDisque(BrokerSuite):
    """One node."""

    #: RETRY is a whole number of seconds, and a quarter of one more or less.
    retry = 2.0
    fences = False

    def advance(self, seconds: float) -> None:
        super().advance(seconds + SPREAD)

    @pytest.fixture(autouse=True)
    def server(self, node, q_cluster):
        self.configure = q_cluster
        q_cluster(disque_nodes=[node.url])

    def make_broker(self) -> Broker:
        broker = Disque(self.queue_name())
        # Made now: when the suite cleans up, the settings are gone.
        assert broker.connection
        return broker

    def make_dead_broker(self) -> Broker:
        self.configure(disque_nodes=f"127.0.0.1:{free_port()},127.0.0.1:{free_port()}")
        return Disque(self.queue_name())


class TestDisqueOnTwoNodes(TestDisque):
    """Two nodes: every broker has its own in use, at random."""

    keeps_order = False
    #: Two nodes may find the same lapse, and count it twice.
    counts_deliveries = False

    @pytest.fixture(autouse=True)
    def server(self, pair, q_cluster):
        self.configure = q_cluster
        q_cluster(disque_nodes=[node.url for node in pair])
