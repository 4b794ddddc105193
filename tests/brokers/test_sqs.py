"""The Amazon SQS broker keeps the contract, on both servers that play Amazon, and FIFO queues."""

from typing import ClassVar
from urllib.parse import quote

import botocore.session
import pytest
from boto3.session import Session

from django_q.brokers import get_broker
from django_q.brokers.aws_sqs import Sqs
from django_q.brokers.base import Broker
from django_q.exceptions import BrokerError
from django_q.models import Ledger
from django_q.testing import BrokerSuite
from tests.servers.base import free_port
from tests.servers.sqs import LOGIN


class SqsGround(BrokerSuite):
    """What is true of every queue of Amazon SQS."""

    __test__ = False
    #: Another broker takes some tenths of a second to make, and a lease must not lapse meanwhile.
    retry = 4.0
    #: Each costs a request or two, and moto answers about fifty a second.
    many = 60
    #: SQS takes no message of no bytes.
    takes_empty = False
    #: A standard queue keeps the order roughly.
    keeps_order = False
    #: Amazon gives its counts as approximate; what was released with a delay counts as leased.
    exact_sizes = False
    #: Keys of `Q_CLUSTER["sqs"]` beside those of the server.
    #: Long polls wait a whole second at least, in which what was renewed could lapse.
    options: ClassVar[dict[str, object]] = {"receive_message_wait_time_seconds": 0}
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
    def place(self, moto, q_cluster, database):
        self.server, self.q_cluster = moto, q_cluster
        self.configure(moto.url)


class TestOnMinistack(SqsGround):
    """ministack, where a receipt is worthless once the message was lent again."""

    __test__ = True

    @pytest.fixture(autouse=True)
    def place(self, ministack, q_cluster, database):
        self.server, self.q_cluster = ministack, q_cluster
        self.configure(ministack.url)


class TestFifoOnMoto(TestOnMoto):
    """A FIFO queue whose messages have a group each, so that all may be lent at once."""

    suffix = ".fifo"
    options: ClassVar[dict[str, object]] = SqsGround.options | {"message_group_id": None}


def payloads(leases):
    return [lease.payload for lease in leases]


# Which class.


def test_an_empty_dict_chooses_it(q_cluster):
    q_cluster(sqs={})

    assert type(get_broker("mail")) is Sqs


def test_a_url_chooses_it(moto, q_cluster):
    q_cluster(broker=f"sqs://a:b@?region=eu-west-1&create=false&endpoint_url={quote(moto.url)}")
    broker = get_broker("mail")

    # Made before, since a ping is cut off in time, and a busy machine takes long to make a client.
    assert broker.connection
    assert broker.ping()
    assert broker.info() == f"Amazon SQS eu-west-1 ({moto.url})"
    broker.close()


def test_sessions_share_what_describes_the_service_and_it_is_what_boto3_reads(q_cluster):
    q_cluster(sqs=LOGIN)
    first, second = Sqs.get_connection(), Sqs.get_connection()
    plain = Session(region_name="eu-west-1")

    models = [each.client("sqs").meta.service_model for each in (first, second, plain)]

    loaders = [each._session.get_component("data_loader") for each in (first, second, plain)]
    assert loaders[0] is loaders[1] is not loaders[2]
    # However many there were.
    assert loaders[0].search_paths == loaders[2].search_paths
    assert first is not second
    assert first.get_credentials().access_key == LOGIN["aws_access_key_id"]
    definitions = [model._service_description for model in models]
    assert definitions[0] is definitions[1]
    assert definitions[0] == definitions[2]


def test_a_session_of_botocores_is_taken_as_it_is(q_cluster):
    core = botocore.session.Session()
    q_cluster(sqs={**LOGIN, "botocore_session": core})

    assert Sqs.get_connection()._session is core


def test_a_subclass_may_bring_its_own_session(moto, make_sqs):
    asked = []

    class OwnSession(Sqs):
        @staticmethod
        def get_connection(list_key=None):
            asked.append(list_key)
            return Sqs.get_connection(list_key)

    broker = make_sqs(moto, "own-session", kind=OwnSession)
    broker.enqueue("a")

    assert payloads(broker.lease(1, 1)) == ["a"]
    assert asked == ["own-session"]


def test_a_subclass_that_writes_an_old_method_is_called_by_it(moto, make_sqs):
    class Loud(Sqs):
        def enqueue(self, task):
            return super().enqueue(task.upper())

        def dequeue(self):
            return super().dequeue()

    broker = make_sqs(moto, kind=Loud)

    broker.enqueue_many(["a"])

    assert payloads(broker.lease(1, 1)) == ["A"]


# What was deleted while it waited.


def test_a_package_that_was_deleted_is_dropped_by_who_leases_it(moto, make_sqs, database):
    broker = make_sqs(moto)
    first, second = broker.enqueue_many(["a", "b"])

    assert not broker.delete(first)

    (lease,) = broker.lease(10, 1)
    assert (lease.payload, lease.id) == ("b", second)
    assert broker.lease(10) == []
    assert broker.lock_size() == 1


def test_a_leased_package_that_was_deleted_is_dropped_when_it_comes_back(moto, make_sqs, database):
    broker = make_sqs(moto)
    (id,) = broker.enqueue_many(["a"])
    (lease,) = broker.lease(1, 1)

    broker.delete(id)
    broker.release([lease.receipt])

    assert broker.lease(1) == []
    assert broker.lock_size() == broker.queue_size() == 0


def test_a_queue_is_served_while_nobody_knows_what_was_deleted(
    moto, make_sqs, database, monkeypatch
):
    broker = make_sqs(moto)
    broker.delete(broker.enqueue("a"))
    monkeypatch.setattr(Ledger._meta, "db_table", "django_q_nowhere")

    assert payloads(broker.lease(1, 1)) == ["a"]
    with pytest.raises(BrokerError, match="django_q_nowhere"):
        broker.delete("b")
