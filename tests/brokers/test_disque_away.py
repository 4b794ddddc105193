"""Nodes of Disque that are away, silent or another server: errors in time, with their names."""

import re
import socket
import threading
import time

import pytest

from django_q.brokers.disque import Disque
from django_q.exceptions import BrokerError, BrokerUnavailable
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


@pytest.fixture
def silent():
    """The address of a server that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield "127.0.0.1:{}".format(*listener.getsockname()[1:])


@pytest.fixture
def chatty():
    """The address of a server that says something else whatever it is asked."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.close()

        threading.Thread(target=answer, daemon=True).start()
        yield "127.0.0.1:{}".format(*listener.getsockname()[1:])
        listener.shutdown(socket.SHUT_RDWR)


def payloads(leases):
    return [lease.payload for lease in leases]


def receipts(leases):
    return [lease.receipt for lease in leases]


# Nodes that are away.


def test_dead_nodes_are_all_named_and_fast(q_cluster, make):
    ports = [free_port(), free_port(), free_port()]
    q_cluster(disque_nodes=[f"127.0.0.1:{port}" for port in ports], disque_auth="se-cret")
    began = time.monotonic()

    with pytest.raises(BrokerUnavailable, match="disque_nodes") as caught:
        make().enqueue("a")

    assert time.monotonic() - began < 3
    assert all(f"127.0.0.1:{port} (" in str(caught.value) for port in ports)
    assert "refused" in str(caught.value)
    assert "cret" not in str(caught.value)


def test_a_host_that_does_not_exist_is_told(q_cluster, make):
    q_cluster(disque_nodes=["no-such-host.invalid"])
    began = time.monotonic()

    with pytest.raises(BrokerUnavailable, match=r"no-such-host\.invalid"):
        make().enqueue("a")

    assert time.monotonic() - began < 5


def test_a_ping_ends_in_time_when_the_name_is_not_resolved(q_cluster, make, monkeypatch):
    q_cluster(disque_nodes=["slow.example"])
    broker = make()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: time.sleep(10))
    began = time.monotonic()

    with pytest.raises(BrokerUnavailable, match="disque_nodes"):
        broker.ping()

    assert time.monotonic() - began < 5.0


def test_silent_nodes_are_told_in_time(silent, q_cluster, make):
    q_cluster(disque_nodes=[silent, silent.replace("127.0.0.1", "localhost")])
    broker = make()

    for call, limit in ((broker.ping, 2.0), (lambda: broker.lease(1, 1.0), 5.0)):
        began = time.monotonic()
        with pytest.raises(BrokerUnavailable, match=silent.partition(":")[2]):
            call()
        assert time.monotonic() - began < limit


def test_another_server_in_its_place_is_told(chatty, valkey, q_cluster, make):
    q_cluster(disque_nodes=[chatty])
    with pytest.raises(BrokerError, match=chatty):
        make().enqueue("a")

    q_cluster(disque_nodes=[f"127.0.0.1:{valkey.port}"])
    with pytest.raises(BrokerError, match=f"{valkey.port} does not know a command of Disque"):
        make().enqueue("a")


def test_one_live_node_is_enough(node, silent, q_cluster, make):
    q_cluster(disque_nodes=[f"127.0.0.1:{free_port()}", node.url, silent])
    broker = make()

    ids = broker.enqueue_many("abc")
    assert broker.queue_size() == 3
    leases = broker.lease(10)
    assert [lease.id for lease in leases] == ids
    assert broker.renew(receipts(leases)) == receipts(leases)
    broker.acknowledge_many(receipts(leases))
    broker.purge_queue()
    assert make().ping()

    # Who was away a moment ago is not asked again at once.
    began = time.monotonic()
    assert broker.lease(1, 0.3) == []
    assert broker.queue_size() == 0
    assert time.monotonic() - began < 2


def test_a_node_that_was_restarted_is_found_again(node, q_cluster, make):
    q_cluster(disque_nodes=node.url)
    broker = make()
    broker.enqueue("a")

    node.kill()
    with pytest.raises(BrokerUnavailable):
        broker.enqueue("b")
    node.restart()

    broker.enqueue("c")
    assert payloads(broker.lease(5)) == ["c"]


def test_a_connection_that_broke_is_made_again(node, q_cluster, make):
    q_cluster(disque_nodes=node.url)
    broker = make()
    broker.enqueue("a")

    for address in re.findall(r"addr=(\S+)", node.ask("CLIENT LIST").decode()):
        node.ask(f"CLIENT KILL {address}")

    assert broker.queue_size() == 1
    broker.enqueue("b")
    assert payloads(broker.lease(5)) == ["a", "b"]
