"""How the Redis brokers connect, and the heartbeats that they keep."""

import time

import pytest
import redis
from django.test import override_settings

from django_q.brokers.redis_broker import Redis
from django_q.brokers.redis_list import RedisList
from django_q.conf import Conf
from django_q.exceptions import BrokerError, BrokerUnavailable, ConfigurationError
from tests.servers import Valkey

BOTH = pytest.mark.parametrize("broker_class", [Redis, RedisList])


@pytest.fixture
def make(request):
    """Function that makes a broker which is closed at the end."""

    def make(broker_class=Redis):
        broker = broker_class("mail")
        request.addfinalizer(broker.close)
        return broker

    return make


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


#: What docs/brokers/redis says that a user needs, beside `info`.
RIGHTS = (
    "~django_q:* ~{django_q:* +@read +@write +@connection +@scripting -@dangerous +time".split()
)


@pytest.fixture
def user(redis_url):
    """Function that makes a user with these rights; gives a URL for it."""
    with redis.Redis.from_url(redis_url) as server:

        def make(*rights):
            server.execute_command("ACL", "SETUSER", "shop", "reset", "on", ">s:e/c@r#t", *rights)
            return redis_url.replace("redis://", "redis://shop:s%3Ae%2Fc%40r%23t@")

        yield make
        server.acl_deluser("shop")


@BOTH
def test_a_user_may_have_few_rights(user, q_cluster, make, broker_class):
    q_cluster(redis=user(*RIGHTS))

    broker = make(broker_class)

    check(broker)
    assert broker.info() == "Redis"
    broker.enqueue("second")
    for lease in broker.lease(1, 1.0):
        broker.acknowledge(lease.receipt)
    broker.purge_queue()
    assert broker.queue_size() == 0


def test_a_server_that_tells_of_itself_is_named(user, q_cluster, make):
    q_cluster(redis=user(*RIGHTS, "+info"))

    assert make().info()[-1].isdigit()


def test_a_right_that_is_missing_is_named_inside_a_script_too(user, q_cluster, make):
    q_cluster(redis=user(*RIGHTS, "-time"))

    with pytest.raises(BrokerError, match=r"does not permit this; .* '?time'?|can't run this"):
        make().lease()


@pytest.mark.parametrize("wait", [0.0, 1.0])
def test_bytes_come_back_through_a_client_that_decodes(valkey, q_cluster, make, wait):
    q_cluster(redis={"host": "127.0.0.1", "port": valkey.port, "decode_responses": True})
    broker = make()
    payload = "\xff~" + bytes(range(256)).decode("latin-1")

    if wait:
        # With nothing there, the next call waits at the bell first.
        assert broker.lease() == []
    broker.enqueue_many([payload, "text"])

    leases = broker.lease(1, wait) + broker.lease(1, wait)
    assert [lease.payload for lease in leases] == [payload, "text"]
    assert broker.renew([lease.receipt for lease in leases]) == [lease.receipt for lease in leases]
    broker.acknowledge_many([lease.receipt for lease in leases])
    assert broker.lock_size() == 0


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


@pytest.mark.parametrize(
    ("key", "value"),
    [("port", "abc"), ("port", "63.5"), ("db", True), ("socket_timeout", "2")],
)
def test_what_is_no_number_is_told_before_a_server_is_asked(q_cluster, make, key, value):
    q_cluster(redis={"host": "127.0.0.1", key: value})

    with pytest.raises(ConfigurationError, match=rf'"{key}"\] is {value!r}: give a'):
        make().enqueue("a")


@pytest.mark.parametrize("settings", [{"hots": "127.0.0.1"}, "redis://127.0.0.1?hots=1"])
def test_an_unknown_keyword_is_told(q_cluster, make, settings):
    q_cluster(redis=settings)

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


@BOTH
@pytest.mark.parametrize("has_lines", [True, False])
def test_a_heartbeat_is_kept_by_lines_as_by_the_client(
    redis_url, q_cluster, make, broker_class, has_lines
):
    q_cluster(redis=redis_url)
    broker = make(broker_class)
    broker.__dict__["_has_lines"] = has_lines

    broker.set_stat(f"{Conf.Q_STAT}:one", "Grüße", 5)

    assert ("_lines" in broker.__dict__) == has_lines
    assert broker.get_stats(f"{Conf.Q_STAT}:*") == ["Grüße"]
    assert 3 <= broker.connection.ttl(f"{Conf.Q_STAT}:one") <= 5
    assert 86_000 < broker.connection.ttl(Conf.Q_STAT) <= 86_400


@BOTH
@pytest.mark.parametrize("has_lines", [True, False])
def test_a_heartbeat_that_the_server_refuses_is_told(
    redis_url, q_cluster, make, broker_class, has_lines
):
    q_cluster(redis=redis_url)
    broker = make(broker_class)
    broker.__dict__["_has_lines"] = has_lines
    broker.connection.set(Conf.Q_STAT, "no set")

    with pytest.raises(BrokerError, match="WRONGTYPE"):
        broker.set_stat(f"{Conf.Q_STAT}:one", "alive", 5)


def test_a_connection_reads_no_files_of_packages(redis_url, q_cluster, make, monkeypatch):
    q_cluster(redis=redis_url)
    looked_up = []
    monkeypatch.setattr("importlib.metadata.version", lambda name: looked_up.append(name) or "1.0")

    check(make())

    assert looked_up == []
