"""The Amazon SQS broker keeps the contract, on both servers that play Amazon and on FIFO queues."""

from typing import ClassVar

import pytest

from django_q.brokers.aws_sqs import Sqs
from django_q.brokers.base import Broker
from django_q.testing import BrokerSuite
from tests.servers.base import free_port


class SqsGround(BrokerSuite):
    """What is true of every queue of Amazon SQS."""

    __test__ = False
    #: Each costs a request or two, and moto answers about fifty a second.
    many = 60
    #: SQS takes no message of no bytes.
    takes_empty = False
    #: A standard queue keeps the order roughly.
    keeps_order = False
    #: Amazon gives its counts as approximate; what was released with a delay counts as leased.
    exact_sizes = False
    #: Keys of `Q_CLUSTER["sqs"]` beside those of the server.
    options: ClassVar[dict[str, object]] = {}
    suffix = ""

    def make_broker(self) -> Broker:
        broker = Sqs(self.queue_name() + self.suffix)
        # The settings are gone when the queue is removed behind a test that asked for nothing.
        assert broker.connection
        return broker

    def make_dead_broker(self) -> Broker:
        self.configure(f"http://127.0.0.1:{free_port()}")
        return Sqs(self.queue_name())

    def configure(self, url: str) -> None:
        self.q_cluster(sqs={**self.server.settings, "endpoint_url": url, **self.options})


class TestOnMoto(SqsGround):
    """moto, where an old receipt goes on working."""

    __test__ = True
    fences = False

    @pytest.fixture(autouse=True)
    def place(self, moto, q_cluster):
        self.server, self.q_cluster = moto, q_cluster
        self.configure(moto.url)


class TestOnMinistack(SqsGround):
    """ministack, where a receipt is worthless once the message was lent again."""

    __test__ = True

    @pytest.fixture(autouse=True)
    def place(self, ministack, q_cluster):
        self.server, self.q_cluster = ministack, q_cluster
        self.configure(ministack.url)


class TestFifoOnMoto(TestOnMoto):
    """A FIFO queue whose messages have a group each, so that all may be lent at once."""

    suffix = ".fifo"
    options: ClassVar[dict[str, object]] = {"message_group_id": None}
