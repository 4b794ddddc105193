"""Settings: `Q_CLUSTER` with wrong values, and what is made of them: checks, `Conf`, a broker.

An input is JSON with types, as `django_q.json_format` writes it; its key `environment` stands for
the variable Q_CLUSTER_NAME.
"""

import dataclasses
import os
import random
from typing import Any

from django.conf import settings as django_settings
from django.core.checks import CheckMessage

from django_q import json_format
from django_q.broker_url import broker_settings
from django_q.brokers import get_broker
from django_q.checks import check_settings
from django_q.conf import Conf
from django_q.exceptions import ConfigurationError
from django_q.models.timing import schedule_zone
from django_q.settings import Settings
from tests.fuzz.mutations import changed_value, odd_value
from tests.fuzz.target import Finding, Target, outcome_of

#: Values that are right, or nearly so.
_KNOWN: dict[str, list[Any]] = {
    "broker": [
        "redis://user:pass@localhost:6379/0?socket_timeout=5",
        *(
            "rediss://h/1",
            "unix:///tmp/s?db=0",
            "orm://default",
            "sqs://id:secret@?region=eu-west-1",
        ),
        *("disque://:secret@h1:7711,h2,[::1]:7712", "ironmq://project:token@host:443?wait=5"),
        *("memory://", "sqs://?endpoint_url=http%3A%2F%2Fx&create=false"),
    ],
    "broker_class": ["django_q.brokers.memory.Memory", "math.sqrt", "math", "django_q.nowhere.X"],
    "redis": [
        "redis://localhost:6379/0",
        {"host": "localhost", "port": 6379, "db": 0, "password": "x"},
        {"sentinels": [("h", 26379), "h2:26379"], "service_name": "m", "sentinel_kwargs": {}},
    ],
    "disque_nodes": [["localhost:7711"], "a:1,b:2", ["[::1]:7711"], ["user:pw@h:1"]],
    "disque_auth": ["secret"],
    "iron_mq": [{"project_id": "p", "token": "t", "host": "h", "port": 80, "protocol": "http"}],
    "sqs": [
        {"aws_region": "eu-west-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"},
        {"aws_region": "eu-west-1", "queues": {"default": "x"}, "config": {"connect_timeout": 1}},
        {"endpoint_url": "http://localhost:1", "attributes": {"X": 1}, "dead_letter_queue": "d"},
    ],
    "orm": ["default", "other"],
    "django_redis": ["default"],
    "queues": [["a", "b"], {"a": 3, "b": 1}],
    "schedules": [{"name": {"func": "math.sqrt", "cron": "* * * * *"}}],
    "time_zone": ["Europe/Berlin", "UTC", "Nowhere/Else", "../etc/passwd"],
    "functions": [["shop.*"]],
    "backoff": [2, [1, 2, 3], "math.sqrt", "shop.nowhere"],
    "retry_on": [["OSError", "socket.timeout"], "ValueError"],
    "log_level": ["DEBUG", 10, "LOUD"],
    "signing_key": ["a key", ["new", "old"]],
    "error_reporter": [{"sentry": {"dsn": "http://x@y/1"}}],
    "cache": ["default", None, "elsewhere"],
    "retry": [60, 0.5, 0, 100_000],
    "ALT_CLUSTERS": [{"long": {"timeout": 100, "retry": 120}}],
    "environment": ["long", "default"],
}
_FIELDS = [field.name for field in dataclasses.fields(Settings)]
_DEFAULTS = {
    field.name: field.default
    for field in dataclasses.fields(Settings)
    if field.default is not dataclasses.MISSING
}
_CHOICES = [value for values in Settings.CHOICES.values() for value in values]


def _make(chance: random.Random) -> bytes:
    made: dict[str, Any] = {}
    for _ in range(chance.choice([1, 1, 2, 3, 6])):
        key = chance.choice([*_KNOWN, *_FIELDS]) if chance.random() < 0.97 else "no setting"
        kind = chance.random()
        value = chance.choice(_KNOWN.get(key, [_DEFAULTS.get(key), chance.choice(_CHOICES)]))
        if kind < 0.5:
            value = changed_value(chance, value)
        elif kind < 0.75:
            value = odd_value(chance)
        made[key] = value
    return json_format.dumps(odd_value(chance) if chance.random() < 0.02 else made)


def _read(data: bytes) -> str:
    try:
        value = json_format.loads(data)
    except ValueError:
        return "no input"
    name = value.pop("environment", None) if isinstance(value, dict) else None
    django_settings.Q_CLUSTER = value
    if isinstance(name, str) and "\0" not in name and name.isascii():
        os.environ["Q_CLUSTER_NAME"] = name
    Conf.reset()
    try:
        return _use()
    finally:
        os.environ.pop("Q_CLUSTER_NAME", None)
        django_settings.Q_CLUSTER = {}
        Conf.reset()


def _use() -> str:
    messages = check_settings()
    if not all(isinstance(message, CheckMessage) for message in messages):
        raise Finding("a check gave something else than messages")
    wrong = [message.id for message in messages if message.is_serious()]
    _show(messages)
    try:
        Settings.from_django()
        schedule_zone()
        broker = get_broker()
        if "startup_nodes" not in str(Conf.REDIS):  # a cluster is spoken to at once
            _ = broker.connection
        broker.close()
    except ConfigurationError as error:
        return f"refused, {outcome_of(error)}"
    return f"taken, {type(broker).__name__}, checks {','.join(map(str, wrong)) or 'quiet'}"


def _show(messages: Any) -> None:
    for message in messages:
        str(message)


def _read_url(data: bytes) -> str:
    try:
        found = broker_settings(data.decode("utf-8", "replace"))
    except ConfigurationError as error:
        return outcome_of(error)
    return f"taken, {min(found)}"


_SEEDS = [json_format.dumps({key: value}) for key, values in _KNOWN.items() for value in values]
SETTINGS = Target("settings", 18, _SEEDS, _read, (b'"', b"null", b"[", b"1e999"), _make)
URLS = Target(
    "broker URLs",
    4,
    [str(url).encode() for url in _KNOWN["broker"]],
    _read_url,
    (b"://", b"@", b":", b"[", b"]", b"?", b"#", b"%", b"%2F", b"\xff", b"&a=b", b"\t", b"99999"),
)
