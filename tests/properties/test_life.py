"""Every broker lends, renews, takes and gives back as the reference does, in any order of calls."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from django.utils.module_loading import import_string

from django_q.brokers.disque import Disque
from django_q.brokers.ironmq import IronMQBroker
from django_q.brokers.memory import Memory
from django_q.brokers.orm import ORM
from django_q.brokers.redis_broker import Redis
from django_q.brokers.redis_list import RedisList
from tests.properties import grounds
from tests.properties.life import RETRY, live
from tests.properties.reference import Clock
from tests.servers.disque_thread import ThreadedNode
from tests.servers.ironmq_process import IronMQ
from tests.servers.sqs import LOGIN
from tests.site import databases


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the memory broker."""
    clock = Clock()
    monkeypatch.setattr("django_q.brokers.memory.time", clock)
    return clock


@pytest.fixture
def configure(q_cluster: Callable[..., Any]) -> Callable[..., Any]:
    """Function that chooses the broker."""
    return lambda **values: q_cluster(retry=RETRY, **values)


def test_the_memory_broker_keeps_its_own_promises(
    clock: Clock, configure: Callable[..., Any]
) -> None:
    configure()

    live(grounds.Ground(clock, Memory), 30)


def test_redis(clock: Clock, configure: Callable[..., Any], redis_url: str) -> None:
    configure(redis=redis_url)

    live(grounds.RedisGround(clock, Redis), 30)


def test_redis_without_leases(clock: Clock, configure: Callable[..., Any], redis_url: str) -> None:
    configure(redis=redis_url, receipts=False)

    live(grounds.ListGround(clock, RedisList), 10)


@pytest.mark.parametrize("database", databases.ALIASES, indirect=True)
def test_the_database(clock: Clock, configure: Callable[..., Any], database: str) -> None:
    configure(orm=database)

    live(grounds.OrmGround(clock, ORM), 8)


def test_amazon_sqs(
    clock: Clock,
    configure: Callable[..., Any],
    database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What is given back shows a millisecond later.
    ticks = itertools.count()
    monkeypatch.setattr("moto.sqs.models.unix_time", clock.monotonic)
    monkeypatch.setattr("moto.sqs.models.unix_time_millis", lambda: clock.now * 1000 + next(ticks))
    configure(sqs={**LOGIN, "receive_message_wait_time_seconds": 0})

    with import_string("moto.mock_aws")():
        live(grounds.SqsGround(clock, import_string("django_q.brokers.aws_sqs.Sqs")), 5)


def test_disque(clock: Clock, configure: Callable[..., Any]) -> None:
    with ThreadedNode() as server:
        configure(disque_nodes=[f"127.0.0.1:{server.port}"])

        live(grounds.DisqueGround(clock, Disque, server), 20)


def test_ironmq(clock: Clock, configure: Callable[..., Any]) -> None:
    server = IronMQ().start()
    try:
        configure(iron_mq=server.settings)

        live(grounds.IronGround(clock, IronMQBroker, server), 8)
    finally:
        server.stop()
