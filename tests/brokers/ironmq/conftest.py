"""A local IronMQ, a queue on it and brokers of that queue."""

import pytest

from django_q.brokers.ironmq import IronMQBroker
from django_q.testing import BrokerSuite
from tests.servers.ironmq_process import IronMQ


@pytest.fixture(scope="package")
def ironmq():
    """The local server."""
    server = IronMQ().start()
    yield server
    server.stop()


@pytest.fixture
def queue(ironmq):
    """Name of a queue that is there already."""
    name = BrokerSuite.queue_name()
    ironmq.ask("PUT", f"/{name}", {"queue": {"message_expiration": 2_592_000}})
    yield name
    ironmq.heal()
    ironmq.ask("DELETE", f"/{name}", {})


@pytest.fixture
def make(ironmq, queue, q_cluster):
    """Function that makes a broker of that queue."""
    made = []

    def make(**settings):
        q_cluster(retry=60, iron_mq={**ironmq.settings, **settings})
        made.append(IronMQBroker(queue))
        return made[-1]

    yield make
    for broker in made:
        broker.close()


@pytest.fixture
def broker(ironmq, make):
    """A broker of that queue; requests are counted from now on."""
    broker = make()
    ironmq.reset_counts()
    return broker
