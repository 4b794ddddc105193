"""Each key of `Q_CLUSTER` has its attribute of `Conf`, and its default of old unless told here."""

import os
import signal
from typing import Any

import pytest
from django.utils.functional import Promise

from django_q.brokers import broker_path
from django_q.conf import Conf, Settings, wrong_values

#: Key -> attribute of Conf, default of django-q2 1.11, a value of old that must be taken.
SETTINGS: dict[str, tuple[str, Any, Any]] = {
    "name": ("PREFIX", "default", "shop"),
    "cluster_name": ("CLUSTER_NAME", "default", "mails"),
    "workers": ("WORKERS", os.cpu_count(), 8),
    "daemonize_workers": ("DAEMONIZE_WORKERS", True, False),
    "max_rss": ("MAX_RSS", None, 100_000),
    "timeout": ("TIMEOUT", None, 90),
    "retry": ("RETRY", 60, 120),
    "ack_failures": ("ACK_FAILURES", False, True),
    "max_attempts": ("MAX_ATTEMPTS", 0, 5),
    "queue_limit": ("QUEUE_LIMIT", (os.cpu_count() or 4) ** 2, 50),
    "bulk": ("BULK", 1, 10),
    "poll": ("POLL", 0.2, 1),
    "compress": ("COMPRESSED", False, True),
    "save_limit": ("SAVE_LIMIT", 250, -1),
    "save_limit_per": ("SAVE_LIMIT_PER", None, "group"),
    "guard_cycle": ("GUARD_CYCLE", 0.5, 0.25),
    "scheduler": ("SCHEDULER", True, False),
    "catch_up": ("CATCH_UP", True, False),
    "sync": ("SYNC", False, True),
    "cached": ("CACHED", False, 60),
    "cache": ("CACHE", "default", "shared"),
    "label": ("LABEL", "Django Q", "Tasks"),
    "log_level": ("LOG_LEVEL", "INFO", "DEBUG"),
    "cpu_affinity": ("CPU_AFFINITY", 0, 1),
    "time_zone": ("TIME_ZONE", "UTC", "Europe/Berlin"),
    "error_reporter": ("ERROR_REPORTER", {}, {"sentry": {"dsn": "https://key@host/1"}}),
    "broker_class": ("BROKER_CLASS", None, "shop.brokers.Mine"),
    "redis": ("REDIS", {}, {"host": "127.0.0.1", "port": 6379, "db": 0}),
    "django_redis": ("DJANGO_REDIS", None, "default"),
    "iron_mq": ("IRON_MQ", None, {"host": "mq-aws-us-east-1-1.iron.io", "token": "t"}),
    "sqs": ("SQS", None, {"aws_region": "us-east-1"}),
    "orm": ("ORM", None, "default"),
    "mongo": ("MONGO", None, {"host": "127.0.0.1"}),
    "mongo_db": ("MONGO_DB", None, "django-q"),
    "testing": ("TESTING", False, True),
    "disque_nodes": ("DISQUE_NODES", None, ["127.0.0.1:7711"]),
    "disque_auth": ("DISQUE_AUTH", None, "secret"),
    "disque_fastack": ("DISQUE_FASTACK", False, True),
    # Another default: docs/upgrading says so.
    "recycle": ("RECYCLE", 10_000, 500),
}


@pytest.mark.parametrize("key", SETTINGS)
def test_a_setting_has_its_attribute_and_default(key: str, q_cluster: Any) -> None:
    attribute, default, value = SETTINGS[key]
    q_cluster()
    assert getattr(Conf, attribute) == default

    q_cluster(**{key: value})

    assert not wrong_values({key: value})
    assert getattr(Conf, attribute) == value
    assert Conf.conf[key] == value


def test_no_other_setting_took_a_name_of_old() -> None:
    gone = {"has_replica", "rollbar"}

    assert not gone & set(Settings.__dataclass_fields__)


def test_what_is_derived_is_there(q_cluster: Any) -> None:
    q_cluster(name="shop")

    assert Conf.Q_STAT == "django_q:shop:cluster"
    assert Conf.CLUSTER_NAME == "shop"
    assert isinstance(Conf.SECRET_KEY, str)
    assert Conf.QSIZE in (True, False)
    assert Conf.SIGNAL_NAMES[signal.SIGTERM] == "SIGTERM"
    words = [Conf.STARTING, Conf.WORKING, Conf.IDLE, Conf.STOPPED, Conf.STOPPING]
    assert all(isinstance(word, Promise) for word in words)


def test_a_patched_attribute_is_seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Conf, "PREFIX", "another")
    monkeypatch.setattr(Conf, "SAVE_LIMIT", 3)

    assert (Conf.Q_STAT, Conf.SAVE_LIMIT) == ("django_q:another:cluster", 3)


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({}, "redis_broker.Redis"),
        ({"redis": {}, "orm": "default"}, "orm.ORM"),
        ({"orm": "default", "sqs": {}}, "aws_sqs.Sqs"),
        ({"sqs": {}, "iron_mq": {"token": "t"}}, "ironmq.IronMQBroker"),
        ({"iron_mq": {"token": "t"}, "broker_class": "shop.Mine"}, "shop.Mine"),
        ({"disque_nodes": ["127.0.0.1:7711"]}, "disque.Disque"),
    ],
)
def test_brokers_are_chosen_in_the_old_order(values: Any, path: str, q_cluster: Any) -> None:
    q_cluster(**values)

    assert broker_path().removeprefix("django_q.brokers.") == path


def test_an_alternative_cluster_is_chosen_by_the_environment(
    q_cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    q_cluster(name="shop", workers=4, ALT_CLUSTERS={"long": {"workers": 1, "timeout": 600}})
    monkeypatch.setenv("Q_CLUSTER_NAME", "long")
    Conf.reset()

    try:
        assert (Conf.PREFIX, Conf.CLUSTER_NAME) == ("shop", "long")
        assert (Conf.WORKERS, Conf.TIMEOUT) == (1, 600)
    finally:
        monkeypatch.delenv("Q_CLUSTER_NAME")
        Conf.reset()
