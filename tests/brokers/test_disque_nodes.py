"""How the Disque broker finds its nodes and their password: settings, URL, environment."""

import time

import pytest

from django_q.brokers import get_broker
from django_q.brokers.disque import Disque
from django_q.exceptions import BrokerError, BrokerUnavailable, ConfigurationError
from tests.servers.base import free_port
from tests.servers.disque import DisqueNode


@pytest.fixture
def make(request):
    """Function that makes a broker which is closed at the end."""

    def make():
        broker = Disque("mail")
        request.addfinalizer(broker.close)
        return broker

    return make


@pytest.fixture
def node():
    """A node that the test may freeze and stop."""
    node = DisqueNode().start()
    yield node
    node.stop()


def payloads(leases):
    return [lease.payload for lease in leases]


# Settings.


@pytest.mark.parametrize(
    "value", [["one:1", "two:2", "three"], "one:1, two:2,three:7711", ("two:2", "one:1", "three:")]
)
def test_nodes_are_a_list_or_one_text(q_cluster, make, value):
    q_cluster(disque_nodes=[text.rstrip(":") for text in value] if value[0] != "o" else value)
    nodes = make().connection._nodes

    options = [node.client.connection_pool.connection_kwargs for node in nodes]

    assert {(o["host"], o["port"]) for o in options} == {("one", 1), ("two", 2), ("three", 7711)}


def test_an_address_may_be_of_the_sixth_version(q_cluster, make):
    q_cluster(disque_nodes=["[::1]:7712", "[fe80::1]"])

    options = [n.client.connection_pool.connection_kwargs for n in make().connection._nodes]

    assert {(o["host"], o["port"]) for o in options} == {("::1", 7712), ("fe80::1", 7711)}


def test_the_order_is_random(q_cluster, make):
    q_cluster(disque_nodes=[f"host{number}" for number in range(8)])

    assert len({tuple(n.address for n in make().connection._nodes) for _ in range(5)}) > 1


@pytest.mark.parametrize("empty", [[], ""])
def test_an_empty_setting_means_the_environment(node, q_cluster, monkeypatch, empty):
    monkeypatch.setenv("TYND_DISQUE_NODES", f"{node.url},127.0.0.1:{free_port()}")
    monkeypatch.setenv("TYND_DISQUE_AUTH", "")
    q_cluster(disque_nodes=empty)

    broker = get_broker("mail")

    assert type(broker) is Disque
    broker.enqueue("a")
    assert payloads(broker.lease(1)) == ["a"]
    broker.close()


def test_without_any_node_the_error_names_setting_and_variable(q_cluster, make, monkeypatch):
    monkeypatch.delenv("TYND_DISQUE_NODES", raising=False)
    q_cluster(disque_nodes=[])

    with pytest.raises(ConfigurationError, match="disque_nodes.*TYND_DISQUE_NODES"):
        make().enqueue("a")


@pytest.mark.parametrize("value", ["disque://:cret@h:7711", "h:cret", ":7711", "h:0", "a b"])
def test_a_wrong_address_is_told_without_what_may_be_secret(q_cluster, make, value):
    q_cluster(disque_nodes=[value])

    with pytest.raises(ConfigurationError, match=r'"disque_nodes".*"host:7711"') as caught:
        make().enqueue("a")

    assert "cret" not in str(caught.value)


def test_a_url_says_it_all(q_cluster, request):
    node = DisqueNode("--requirepass", "se/cret").start()
    request.addfinalizer(node.stop)
    q_cluster(broker=f"disque://:se%2Fcret@{node.url}")

    broker = get_broker("mail")

    broker.enqueue("a")
    assert payloads(broker.lease(1)) == ["a"]
    broker.close()


# Passwords.


@pytest.fixture
def locked(request):
    """A node with a password."""
    node = DisqueNode("--requirepass", "right").start()
    request.addfinalizer(node.stop)
    return node


@pytest.mark.parametrize("password", ["wr0ng-cret", None])
def test_a_wrong_password_is_told_by_the_name_of_its_setting(locked, q_cluster, make, password):
    q_cluster(disque_nodes=locked.url, disque_auth=password)
    broker = make()
    began = time.monotonic()

    for call in (lambda: broker.enqueue("a"), broker.ping):
        with pytest.raises(BrokerError, match="disque_auth") as caught:
            call()
        assert "cret" not in str(caught.value)
        assert not isinstance(caught.value, BrokerUnavailable)
    assert time.monotonic() - began < 3


def test_the_password_comes_from_the_environment_with_the_nodes(
    locked, q_cluster, make, monkeypatch
):
    monkeypatch.setenv("TYND_DISQUE_NODES", locked.url)
    monkeypatch.setenv("TYND_DISQUE_AUTH", "right")
    q_cluster(disque_nodes=[])

    assert make().enqueue("a")
    assert make().ping()


def test_a_password_for_a_node_that_has_none_is_told(node, q_cluster, make):
    q_cluster(disque_nodes=node.url, disque_auth="se-cret")

    with pytest.raises(BrokerError, match="disque_auth.*no password is set"):
        make().enqueue("a")
