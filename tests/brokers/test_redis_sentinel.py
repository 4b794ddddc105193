"""The Redis broker behind Sentinel: the primary is found by its name, wherever it is."""

import socket
import time

import pytest
import redis

from django_q.brokers.redis_broker import Redis
from django_q.exceptions import BrokerError, BrokerUnavailable, ConfigurationError
from tests.servers.base import free_port
from tests.servers.valkey_groups import AGREE_LIMIT, watched_pair
from tests.waiting import wait_until

# Where there is no such server, these tests are skipped.
pytestmark = pytest.mark.usefixtures("valkey")

#: Seconds that a busy machine may add to any time.
AIR = 3.0


@pytest.fixture
def pair():
    with watched_pair() as pair:
        yield pair


@pytest.fixture
def make(request, q_cluster):
    """Function that makes a broker by these sentinels, which is closed at the end."""

    def make(*sentinels, **values):
        q_cluster(redis={"sentinels": list(sentinels), "service_name": "shop", **values})
        broker = Redis("mail")
        request.addfinalizer(broker.close)
        return broker

    return make


def enqueues(broker, payload):
    """Whether the package was taken."""
    try:
        return broker.enqueue(payload)
    except BrokerError:
        return None


@pytest.mark.parametrize("how", ["killed", "demoted"])
def test_a_queue_goes_on_when_its_primary_is_another(pair, make, how):
    sentinel, primary, replica = pair
    broker = make(f"127.0.0.1:{sentinel.port}", ("127.0.0.1", free_port()))
    broker.enqueue_many(["a", "b"])
    (lease,) = broker.lease()
    assert broker.ping()
    with redis.Redis(port=primary.port) as client:
        client.wait(1, 10_000)

    if how == "killed":
        primary.kill()
    else:
        sentinel.fail_over()
    wait_until(lambda: sentinel.primary() == replica.port, AGREE_LIMIT)
    wait_until(lambda: enqueues(broker, "c"), AGREE_LIMIT)

    # What was leased is still leased, and its receipt still good.
    assert (broker.queue_size(), broker.lock_size()) == (2, 1)
    broker.acknowledge(lease.receipt)
    assert [lease.payload for lease in broker.lease(3, 1.0)] == ["b", "c"]
    assert broker.ping()
    assert broker.info().split()[0] in ("Redis", "Valkey")


# Trouble.


def test_dead_sentinels_are_told_at_once(make):
    port = free_port()
    broker = make(f"127.0.0.1:{port}", password="se-cret", sentinel_kwargs={"password": "se-cret"})

    for call in (lambda: broker.enqueue("a"), broker.ping):
        began = time.monotonic()
        with pytest.raises(BrokerUnavailable) as caught:
            call()
        assert time.monotonic() - began < AIR
        told = str(caught.value)
        assert f"(the primary 'shop' of the sentinels at 127.0.0.1:{port})" in told
        assert 'See Q_CLUSTER["redis"]' in told
        assert "cret" not in told


def test_silent_sentinels_are_told_in_time(make):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        broker = make(*[silent.getsockname()] * 3)

        for call, limit in ((lambda: broker.enqueue("a"), 5.0), (broker.ping, 2.0)):
            began = time.monotonic()
            with pytest.raises(BrokerUnavailable, match="'shop'"):
                call()
            assert time.monotonic() - began < limit + AIR


def test_a_name_that_the_sentinels_do_not_know_is_told(pair, make):
    sentinel, _, _ = pair

    with pytest.raises(BrokerUnavailable, match="'mall'.* no sentinel that answers knows it"):
        make(("127.0.0.1", sentinel.port), service_name="mall").enqueue("a")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"sentinels": ["h:26379"], "service_name": None}, 'has "sentinels" and no "service_name"'),
        ({"sentinels": "h:26379"}, r'\["sentinels"\] must be a list'),
        ({"sentinels": []}, r'\["sentinels"\] must be a list'),
        ({"sentinels": ["h"]}, r'\["sentinels"\] must be a list'),
        ({"sentinels": [("h", "26379")]}, r'\["sentinels"\] must be a list'),
        ({"startup_nodes": [7000]}, r'\["startup_nodes"\] must be a list'),
        ({"sentinels": ["h:1"], "hots": 1}, "hots"),
    ],
)
def test_what_is_wrong_is_named(q_cluster, values, words):
    q_cluster(redis={"service_name": "shop", **values})

    with pytest.raises(ConfigurationError, match=words):
        Redis("mail").enqueue("a")
