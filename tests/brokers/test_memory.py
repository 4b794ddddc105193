"""The reference broker keeps the contract."""

from django_q.brokers.base import Broker
from django_q.brokers.memory import Memory
from django_q.testing import BrokerSuite


class TestMemory(BrokerSuite):
    """Memory, in this process only."""

    def make_broker(self) -> Broker:
        return Memory(self.queue_name())
