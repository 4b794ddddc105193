"""How the Redis brokers connect, and what they say when the server is away or refuses."""

import time

import pytest
import redis
from django.test import override_settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from django_q.brokers.redis_broker import Redis
from django_q.brokers.redis_list import RedisList
from django_q.conf import Conf
from django_q.exceptions import BrokerError, BrokerUnavailable, ConfigurationError
from tests.servers import Valkey
from tests.servers.base import free_port

BOTH = pytest.mark.parametrize("broker_class", [Redis, RedisList])


@pytest.fixture
def make(request):
    """Function that makes a broker which is closed at the end."""

    def make(broker_class=Redis):
        broker = broker_class("mail")
        request.addfinalizer(broker.close)
        return broker

    return make


@pytest.fixture
def own_server():
    """A server that the test may freeze and stop."""
    server = Valkey().start()
    yield server
    server.stop()


def check(broker):
    broker.enqueue("Grüße")
    assert [lease.payload for lease in broker.lease(1, 1.0)] == ["Grüße"]
    assert broker.ping()
    assert broker.info().split()[0] in ("Redis", "Valkey")
    broker.set_stat(f"{Conf.Q_STAT}:one", "alive", 5)
    assert broker.get_stat(f"{Conf.Q_STAT}:one") == "alive"
    assert broker.get_stats(f"{Conf.Q_STAT}:*") == ["alive"]


# Settings.


@BOTH
def test_a_url_is_enough(redis_url, q_cluster, make, broker_class):
    q_cluster(redis=redis_url)

    check(make(broker_class))


@BOTH
def test_keywords_of_redis_py_are_taken(valkey, redis_url, q_cluster, make, broker_class):
    q_cluster(redis={"host": "127.0.0.1", "port": valkey.port, "db": 3, "decode_responses": True})

    broker = make(broker_class)

    check(broker)
    assert broker.connection.connection_pool.connection_kwargs["db"] == 3


@pytest.mark.parametrize("as_url", [True, False])
def test_a_socket_file_is_a_place_too(tmp_path_factory, q_cluster, make, as_url):
    path = tmp_path_factory.mktemp("s") / "redis"
    server = Valkey("--unixsocket", str(path)).start()
    q_cluster(redis=f"unix://{path}?db=1" if as_url else {"unix_socket_path": str(path)})

    broker = make()
    try:
        check(broker)
        server.kill()
        with pytest.raises(BrokerUnavailable, match=str(path)):
            broker.enqueue("a")
    finally:
        server.stop()


def test_the_projects_own_limits_are_kept(redis_url, q_cluster, make):
    q_cluster(redis=f"{redis_url}?socket_timeout=0.6")
    broker = make()
    began = time.monotonic()

    # Blocks for less than the socket's limit, again and again.
    assert broker.lease(1, 1.0) == []

    assert 0.9 < time.monotonic() - began < 3


@pytest.mark.parametrize("decode", [True, False])
@BOTH
def test_the_connection_of_a_django_redis_cache_is_used(
    redis_url, q_cluster, make, broker_class, decode
):
    q_cluster(django_redis="shared")
    options = {"CONNECTION_POOL_KWARGS": {"decode_responses": decode}}
    cache = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": redis_url, "OPTIONS": options}

    with override_settings(CACHES={"default": cache, "shared": cache}):
        broker = make(broker_class)
        check(broker)
        pool = broker.connection.connection_pool
        broker.close()

        assert make(broker_class).connection.connection_pool is pool
        pool.disconnect()


def test_a_cache_that_is_not_of_django_redis_is_told(q_cluster, make):
    q_cluster(django_redis="default")
    cache = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}

    with (
        override_settings(CACHES={"default": cache}),
        pytest.raises(ConfigurationError, match=r'"django_redis"\] is .default.*"redis": "redis:'),
    ):
        make().enqueue("a")


def test_an_unknown_keyword_is_told(q_cluster, make):
    q_cluster(redis={"hots": "127.0.0.1"})

    with pytest.raises(ConfigurationError, match="hots"):
        make().enqueue("a")


@pytest.mark.parametrize("url", ["127.0.0.1:6379", "redis://u:se/cret@h:6379", "redis://h:cret"])
def test_a_wrong_url_is_told_without_its_password(q_cluster, make, url):
    q_cluster(redis=url)

    with pytest.raises(ConfigurationError, match="is not a URL of Redis") as caught:
        make().enqueue("a")

    assert "cret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


# Servers that are away.


@BOTH
def test_a_dead_port_fails_at_once_and_is_named(q_cluster, make, broker_class):
    port = free_port()
    q_cluster(redis=f"redis://me:secret@127.0.0.1:{port}/0")
    began = time.monotonic()

    with pytest.raises(BrokerUnavailable, match=f"127.0.0.1:{port} .*refused") as caught:
        make(broker_class).enqueue("a")

    assert time.monotonic() - began < 2
    assert "secret" not in str(caught.value)
    assert '"orm"' not in str(caught.value)


def test_without_any_setting_the_error_shows_the_way_without_a_server(q_cluster, make):
    q_cluster()
    broker = make()
    # In the place of the default one, where a Redis may run on this machine.
    broker.connection = redis.Redis(port=free_port(), retry=Retry(NoBackoff(), 0))

    with pytest.raises(BrokerUnavailable, match=r'Q_CLUSTER = \{"orm": "default"\}'):
        broker.enqueue("a")


def test_a_frozen_server_does_not_hold_up_a_ping(own_server, q_cluster, make):
    q_cluster(redis=own_server.url)
    broker = make()
    assert broker.ping()

    own_server.pause()
    began = time.monotonic()
    with pytest.raises(BrokerUnavailable, match=str(own_server.port)):
        broker.ping()

    assert time.monotonic() - began < 3.0
    own_server.resume()


def test_a_restarted_server_is_found_again(own_server, q_cluster, make):
    q_cluster(redis=own_server.url)
    broker = make()
    broker.enqueue("a")

    own_server.kill()
    with pytest.raises(BrokerUnavailable):
        broker.enqueue("b")
    own_server.restart()

    check(broker)


def test_a_refused_login_is_not_tried_twice(redis_url, q_cluster, make):
    q_cluster(redis=redis_url.replace("//", "//somebody:secret@"))

    with pytest.raises(BrokerUnavailable, match="password") as caught:
        make().enqueue("a")

    assert "secret" not in str(caught.value)


# Servers that refuse.


def test_a_full_server_refuses_packages_but_lets_workers_drain(redis_url, q_cluster, make):
    q_cluster(redis=redis_url)
    broker = make()
    broker.enqueue_many(["a", "b", "c", "d"])
    lapsed = broker.lease(1)[0]
    broker.connection.zadd("{django_q:mail}:leases", {lapsed.id: 0})
    broker.connection.config_set("maxmemory", 1)
    try:
        with pytest.raises(BrokerError, match="out of memory") as caught:
            broker.enqueue("e")
        assert not isinstance(caught.value, BrokerUnavailable)

        leases = broker.lease(3)
        assert [lease.payload for lease in leases] == ["a", "b", "c"]
        receipts = [lease.receipt for lease in leases]
        assert broker.renew(receipts) == receipts
        broker.release(receipts[:1])
        broker.release(receipts[1:2], 60)
        broker.acknowledge_many(receipts[2:])
        assert (broker.queue_size(), broker.lock_size()) == (2, 0)
    finally:
        broker.connection.config_set("maxmemory", 0)


def test_a_replica_is_told(own_server, q_cluster, make):
    q_cluster(redis=own_server.url)
    broker = make()
    broker.connection.replicaof("127.0.0.1", free_port())

    with pytest.raises(BrokerError, match="read-only replica"):
        broker.enqueue("a")

    broker.connection.replicaof("NO", "ONE")
    check(broker)


# Heartbeats.


def test_heartbeats_of_the_dead_leave_the_set(redis_url, q_cluster, make):
    q_cluster(redis=redis_url)
    broker = make()
    broker.connection.sadd(Conf.Q_STAT, f"{Conf.Q_STAT}:dead")
    broker.set_stat(f"{Conf.Q_STAT}:live", "alive", 30)

    assert broker.get_stats(f"{Conf.Q_STAT}:*") == ["alive"]

    assert broker.connection.smembers(Conf.Q_STAT) == {f"{Conf.Q_STAT}:live".encode()}
    assert 0 < broker.connection.ttl(Conf.Q_STAT)
    assert 0 < broker.connection.ttl(f"{Conf.Q_STAT}:live") <= 30
