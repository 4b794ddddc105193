"""What the Redis brokers say when their server is away, silent, another one, or refuses."""

import socket
import threading
import time

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from django_q.brokers.redis_broker import Redis
from django_q.brokers.redis_list import RedisList
from django_q.exceptions import BrokerError, BrokerUnavailable
from tests.servers import Valkey
from tests.servers.base import free_port

# Where there is no such server, these tests are skipped.
pytestmark = pytest.mark.usefixtures("valkey")

#: Seconds that a busy machine may add to any time.
AIR = 3.0
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


def serves(broker):
    """Check that a package comes through."""
    broker.enqueue("Grüße")
    assert [lease.payload for lease in broker.lease(1, 1.0)] == ["Grüße"]


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

    serves(broker)


@pytest.mark.parametrize("key", ["redis", "broker"])
@BOTH
def test_a_refused_login_is_told_with_its_setting(redis_url, q_cluster, make, broker_class, key):
    q_cluster(**{key: redis_url.replace("//", "//somebody:secret@")})
    broker = make(broker_class)

    for call in (lambda: broker.enqueue("a"), lambda: broker.lease(1), broker.ping):
        with pytest.raises(BrokerError, match=rf'password in Q_CLUSTER\["{key}"\]') as caught:
            call()
        assert not isinstance(caught.value, BrokerUnavailable)
        assert "secret" not in str(caught.value)


def test_a_missing_password_is_told(own_server, q_cluster, make):
    q_cluster(redis=own_server.url)
    with redis.Redis(port=own_server.port) as client:
        client.config_set("requirepass", "se-cret")

    with pytest.raises(BrokerError, match="refuses the login: .*Check user and password in"):
        make().enqueue("a")


@pytest.mark.parametrize("url", ["redis://nowhere.invalid:1", "redis://127.0.0.1:1/0"])
def test_a_wrong_host_is_told_with_its_setting(q_cluster, make, url):
    q_cluster(redis=url)
    broker = make()

    for call in (lambda: broker.enqueue("a"), lambda: broker.lease(1), broker.ping):
        with pytest.raises(BrokerUnavailable, match=r'See Q_CLUSTER\["redis"\]'):
            call()


def test_a_server_that_never_answers_is_told_in_time(q_cluster, make):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        q_cluster(redis="redis://:se-cret@127.0.0.1:{}".format(*silent.getsockname()[1:]))
        broker = make()
        began = time.monotonic()

        with pytest.raises(BrokerUnavailable, match=r'See Q_CLUSTER\["redis"\]') as caught:
            broker.enqueue("a")

    assert time.monotonic() - began < 5.0 + AIR
    assert "cret" not in str(caught.value)


def test_a_ping_ends_in_time_when_the_name_is_not_resolved(q_cluster, make, monkeypatch):
    q_cluster(redis="redis://slow.example:6379")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: time.sleep(10))
    began = time.monotonic()

    with pytest.raises(BrokerUnavailable, match="slow.example:6379 did not answer"):
        make().ping()

    assert time.monotonic() - began < 2.0 + AIR


def test_another_server_in_its_place_is_told(q_cluster, make):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        q_cluster(redis="redis://127.0.0.1:{}".format(*listener.getsockname()[1:]))

        def answer():
            for _ in range(2):
                connection, _ = listener.accept()
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.close()

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        for call in (lambda: make().enqueue("a"), make().ping):
            with pytest.raises(BrokerError, match="does not speak as Redis does: .*Q_CLUSTER"):
                call()
        thread.join(5)


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

    with pytest.raises(BrokerError, match=f"{own_server.port} is a read-only replica"):
        broker.enqueue("a")

    broker.connection.replicaof("NO", "ONE")
    serves(broker)
