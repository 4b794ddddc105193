"""What several files about one broker share."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils.module_loading import import_string

from django_q.testing import BrokerSuite
from tests.brokers.waited_at import WaitedAt, open_database
from tests.servers import Relay, Server


@pytest.fixture
def make_sqs(q_cluster: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """Function that makes a broker of Amazon SQS, which is closed at the end.

    `make_sqs(server, name, key=value)`: the queue is a new one unless it has a name, the keys are
    those of `Q_CLUSTER["sqs"]` beside the server's own.
    """
    made: list[Any] = []
    # Here, so that the tests of other brokers do without boto3.
    sqs_broker = import_string("django_q.brokers.aws_sqs.Sqs")

    def make(
        server: Any, name: str = "", *, kind: Any = sqs_broker, retry: float = 60, **sqs: Any
    ) -> Any:
        q_cluster(sqs={**server.settings, **sqs}, retry=retry)
        made.append(kind(name or BrokerSuite.queue_name()))
        # Made now, while these settings hold: the next call replaces them.
        assert made[-1].connection
        return made[-1]

    yield make
    for broker in made:
        broker.close()


@pytest.fixture
def relay(moto: Server) -> Iterator[Relay]:
    """What stands between a broker and moto, and counts."""
    with Relay(moto.url) as relay:
        yield relay


@pytest.fixture
def amazon() -> Iterator[Relay]:
    """A server that answers as it was told, and nothing else."""
    with Relay() as relay:
        yield relay


@pytest.fixture
def sqs_mail(amazon: Relay, make_sqs: Callable[..., Any]) -> Any:
    """A broker whose queue has been found at `amazon`: what comes next is the test's own."""
    amazon.prepare("GetQueueUrl", {"QueueUrl": f"{amazon.url}/1/mail"})
    amazon.prepare("GetQueueAttributes", {"Attributes": {"MaximumMessageSize": "1048576"}})
    broker: Any = make_sqs(amazon, "mail")
    broker._queue.limit()
    amazon.counts.clear()
    amazon.requests.clear()
    return broker


@pytest.fixture
def waited_at(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WaitedAt]:
    """A database of SQLite, its journal kept as the test asks for, which mostly is WAL."""
    with open_database(tmp_path / "site.sqlite3", getattr(request, "param", "WAL")) as made:
        yield made
