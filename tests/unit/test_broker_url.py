"""A broker as one URL."""

from collections.abc import Callable
from typing import Any

import pytest

from django_q.broker_url import broker_settings
from django_q.brokers import broker_path, get_broker
from django_q.conf import Conf
from django_q.exceptions import ConfigurationError


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("redis://:pw@h:1/0", {"redis": "redis://:pw@h:1/0"}),
        ("rediss://h/2", {"redis": "rediss://h/2"}),
        ("unix:///run/redis.sock", {"redis": "unix:///run/redis.sock"}),
        ("orm://", {"orm": "default"}),
        ("orm://queue", {"orm": "queue"}),
        ("sqs://?region=eu-west-1", {"sqs": {"aws_region": "eu-west-1"}}),
        (
            "sqs://key:s%2Fecret@?receive_message_wait_time_seconds=5",
            {
                "sqs": {
                    "receive_message_wait_time_seconds": 5,
                    "aws_access_key_id": "key",
                    "aws_secret_access_key": "s/ecret",
                }
            },
        ),
        ("disque://h1,h2:99", {"disque_nodes": ["h1:7711", "h2:99"]}),
        ("disque://[::1],[::2]:99", {"disque_nodes": ["[::1]:7711", "[::2]:99"]}),
        ("REDIS://h", {"redis": "REDIS://h"}),
        (
            "sqs://key:s+ec@ret@",
            {"sqs": {"aws_access_key_id": "key", "aws_secret_access_key": "s+ec@ret"}},
        ),
        ("disque://:pw@h1", {"disque_nodes": ["h1:7711"], "disque_auth": "pw"}),
        (
            "ironmq://project:token@host:8080?protocol=http",
            {
                "iron_mq": {
                    "project_id": "project",
                    "token": "token",
                    "host": "host",
                    "port": 8080,
                    "protocol": "http",
                }
            },
        ),
        ("memory://", {"broker_class": "django_q.brokers.memory.Memory"}),
    ],
)
def test_a_url_stands_for_the_keys_of_its_broker(url: str, meant: dict[str, Any]) -> None:
    assert broker_settings(url) == meant


def test_an_unknown_scheme_is_told_without_the_password() -> None:
    with pytest.raises(ConfigurationError, match="amqp://.*one of redis://") as caught:
        broker_settings("amqp://user:secret@host")

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqs://key:se/cret@?region=eu-west-1", "percent-encoded"),
        ("sqs://key:se#cret@?region=eu-west-1", "percent-encoded"),
        ("sqs://key:se?cret@", "percent-encoded"),
        ("sqs://eu-west-1", "names a host"),
        ("sqs://:secret@?region=eu-west-1", "half of the keys"),
        ("ironmq://project:se/cret@host", "percent-encoded"),
        ("ironmq://project:secret@host:port", "percent-encoded"),
        ("ironmq://project:secret@host:0", "percent-encoded"),
        ("ironmq://project:secret@[host", "percent-encoded"),
        ("disque://:se/cret@host", "percent-encoded"),
        ("disque://secret@host", "a user is not known"),
        ("disque://:secret@host?ttl=5", "settings beside it"),
        ("secretsecretsecret", "begins with 'secretsecr://'"),
    ],
)
def test_what_is_written_wrong_is_told_without_what_is_secret(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        broker_settings(url)

    assert "cret@" not in str(caught.value)
    assert "secrets" not in str(caught.value).replace("'secretsecr", "")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_disque_needs_a_node() -> None:
    with pytest.raises(ConfigurationError, match="names no Disque node"):
        broker_settings("disque://")


def test_the_setting_chooses_the_broker(q_cluster: Callable[..., Any]) -> None:
    q_cluster(broker="memory://")

    assert broker_path() == "django_q.brokers.memory.Memory"
    assert get_broker("mail").list_key == "mail"


def test_an_old_key_beside_the_url_wins(q_cluster: Callable[..., Any]) -> None:
    q_cluster(broker="orm://other", orm="default")

    assert Conf.ORM == "default"
