"""Answers of another form are errors of the broker, and not of whoever called it."""

from collections.abc import Callable
from typing import Any

import pytest

from django_q.brokers import get_broker
from django_q.brokers.disque import Disque
from django_q.brokers.disque_nodes import Node
from django_q.brokers.ironmq import IronMQBroker
from django_q.brokers.redis_broker import Redis
from django_q.brokers.redis_list import RedisList
from django_q.brokers.redis_scripts import Script
from django_q.exceptions import BrokerError, ConfigurationError
from tests.servers.disque_thread import ThreadedNode

Configure = Callable[..., Any]


@pytest.mark.parametrize("answer", [5, [], [0, b"id"], [1, [], 3], b"text", None, [b"x", b"y"]])
def test_redis_gives_an_answer_of_another_form(
    redis_url: str, q_cluster: Configure, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    q_cluster(redis=redis_url)
    broker = Redis("mail")
    broker.enqueue("a")

    with monkeypatch.context() as patched:
        patched.setattr(Script, "run", lambda *args: answer)
        for call in (broker.queue_size, broker.lease):
            with pytest.raises(BrokerError, match=r"Redis at .* not understood \(\w+Error: "):
                call()

    assert [lease.payload for lease in broker.lease()] == ["a"]
    broker.close()


def test_a_list_of_redis_has_something_else_than_text(
    redis_url: str, q_cluster: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    q_cluster(redis=redis_url, receipts=False)
    broker = RedisList("mail")
    monkeypatch.setattr(broker.connection, "lpop", lambda *args: [1])

    with pytest.raises(BrokerError, match="int in the place of text"):
        broker.lease()

    broker.close()


def test_disque_gives_an_answer_of_another_form(
    q_cluster: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThreadedNode() as server:
        q_cluster(disque_nodes=[f"127.0.0.1:{server.port}"])
        broker = Disque("mail")
        broker.enqueue("a")

        with monkeypatch.context() as patched:
            patched.setattr(Node, "run", lambda *args: [5])
            for call in (broker.queue_size, broker.lease, broker.purge_queue):
                with pytest.raises(BrokerError, match="Disque at .* not understood"):
                    call()

        assert [lease.payload for lease in broker.lease()] == ["a"]
        broker.close()


@pytest.mark.parametrize(
    "answer",
    [
        {"messages": 5},
        {"messages": [{"id": "1"}]},
        {"messages": [{"id": "1", "reservation_id": "r", "body": 5}]},
        {"messages": [{"id": "1", "reservation_id": "r", "body": "a", "reserved_count": "x"}]},
    ],
)
def test_ironmq_gives_an_answer_of_another_form(
    q_cluster: Configure, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    q_cluster(iron_mq={"project_id": "p", "token": "t", "host": "localhost"})
    broker = IronMQBroker("mail")
    monkeypatch.setattr(broker.connection, "call", lambda call: answer)

    with pytest.raises(BrokerError, match=r"IronMQ v3 .* not understood"):
        broker.lease()


@pytest.mark.parametrize(
    "body",
    [
        {"Messages": [{"MessageId": "1", "ReceiptHandle": "r"}]},
        {"Messages": [{"MessageId": "1", "ReceiptHandle": "r", "Body": 5}]},
        {"Messages": 5},
        {"Messages": [{"Attributes": {"ApproximateReceiveCount": "x"}}]},
    ],
)
def test_amazon_gives_an_answer_of_another_form(sqs_mail: Any, amazon: Any, body: Any) -> None:
    amazon.prepare("ReceiveMessage", body)

    with pytest.raises(BrokerError, match=r"Amazon SQS .* not understood"):
        sqs_mail.lease()


# Settings that name what is not there.


@pytest.mark.parametrize("path", ["math.sqrt", "math.pi", ".math.sqrt", "nowhere.Broker", "a" * 9])
def test_what_is_no_class_of_brokers_is_told(q_cluster: Configure, path: str) -> None:
    q_cluster(broker_class=path)

    with pytest.raises(ConfigurationError, match="broker_class"):
        get_broker()


def test_an_unknown_database_is_told(q_cluster: Configure) -> None:
    q_cluster(orm="defualt")

    with pytest.raises(ConfigurationError, match="'defualt'.*DATABASES are default"):
        get_broker()


def test_an_unknown_cache_of_django_redis_is_told(q_cluster: Configure) -> None:
    q_cluster(django_redis="sessionz")

    with pytest.raises(ConfigurationError, match="'sessionz', which is no cache"):
        get_broker().queue_size()
