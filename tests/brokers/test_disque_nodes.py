"""How the Disque broker finds its nodes, moves to another when one dies, and what it says then."""

import logging
import socket
import threading
import time

import pytest

from django_q.brokers import get_broker
from django_q.brokers.disque import Disque
from django_q.conf import Conf
from django_q.exceptions import BrokerError, BrokerUnavailable, ConfigurationError
from tests.servers.base import free_port
from tests.servers.disque import DisqueNode, disque_cluster
from tests.waiting import wait_until


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
def pair(q_cluster):
    """Two nodes that know each other, and settings that name both."""
    with disque_cluster(2, "--node-timeout", "1") as nodes:
        q_cluster(disque_nodes=[node.url for node in nodes], retry=2)
        yield nodes


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


def take(broker, limit=6.0):
    """Lease until something comes."""
    return wait_until(lambda: broker.lease(10, 0.5), limit)


def addresses(broker):
    return {node.address for node in broker.connection.each(lambda node: node)}


def use(broker, node):
    """Let the broker use this node."""
    nodes = broker.connection
    nodes._nodes.sort(key=lambda other: other.address != node.url)


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
    assert time.monotonic() - began < 1


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


# Nodes that are away.


def test_dead_nodes_are_all_named_and_fast(q_cluster, make):
    ports = [free_port(), free_port(), free_port()]
    q_cluster(disque_nodes=[f"127.0.0.1:{port}" for port in ports], disque_auth="se-cret")
    began = time.monotonic()

    with pytest.raises(BrokerUnavailable, match="disque_nodes") as caught:
        make().enqueue("a")

    assert time.monotonic() - began < 1
    assert all(f"127.0.0.1:{port} (" in str(caught.value) for port in ports)
    assert "refused" in str(caught.value)
    assert "cret" not in str(caught.value)


def test_a_host_that_does_not_exist_is_told(q_cluster, make):
    q_cluster(disque_nodes=["no-such-host.invalid"])
    began = time.monotonic()

    with pytest.raises(BrokerUnavailable, match=r"no-such-host\.invalid"):
        make().enqueue("a")

    assert time.monotonic() - began < 5


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
    assert time.monotonic() - began < 1


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
    broker, other = make(), make()
    broker.enqueue("a")

    lines = other.connection.execute_command("CLIENT", "LIST").decode().splitlines()
    for line in lines:
        address = dict(word.partition("=")[::2] for word in line.split())["addr"]
        if "cmd=client" in line and address != str(other):
            try:
                other.connection.execute_command("CLIENT", "KILL", address)
            except BrokerError:
                break

    assert broker.queue_size() == 1
    broker.enqueue("b")
    assert payloads(broker.lease(5)) == ["a", "b"]


# A node that dies among others.


def test_work_goes_on_when_the_node_in_use_dies(pair, make, caplog):
    one, other = pair
    producer, worker = make(), make()
    for broker in (producer, worker):
        use(broker, one)
    producer.enqueue("a")
    (lent,) = receipts(worker.lease(1))

    one.kill()

    assert worker.ping()
    began = time.monotonic()
    assert producer.enqueue_many("bc")
    assert time.monotonic() - began < 5
    assert sorted(payloads(take(worker))) in (["b", "c"], ["a", "b", "c"])
    assert worker.queue_size() <= 1
    assert addresses(worker) == {other.url}
    worker.acknowledge_many([lent])


def test_a_package_that_a_dead_node_lent_comes_from_another(pair, make):
    one, other = pair
    broker = make()
    use(broker, one)
    broker.enqueue("a")
    (lease,) = broker.lease(1)
    assert lease.receipt.endswith(one.url)

    one.kill()

    (again,) = take(broker)
    assert (again.payload, again.id, again.deliveries) == ("a", lease.id, 2)
    assert again.receipt.endswith(other.url)


def test_a_receipt_of_a_dead_node_is_good_at_another(pair, make):
    one, _ = pair
    broker = make()
    use(broker, one)
    broker.enqueue_many("abc")
    done, kept, returned = receipts(broker.lease(3))

    one.kill()
    broker.acknowledge_many([done])
    broker.release([returned])
    assert broker.renew([kept, done]) == [kept]
    assert payloads(broker.lease(5)) == ["c"]

    end = time.monotonic() + 3
    while time.monotonic() < end:
        assert broker.renew([kept]) == [kept]
        assert "a" not in payloads(broker.lease(5, 0.3))
    broker.acknowledge_many([kept])


def test_a_frozen_node_delays_one_call(pair, make):
    one, _ = pair
    broker = make()
    use(broker, one)
    one.pause()
    began = time.monotonic()

    assert broker.lease(1, 0.1) == []
    assert time.monotonic() - began < 5

    began = time.monotonic()
    assert broker.lease(1, 0.1) == []
    assert time.monotonic() - began < 1
    one.resume()


def test_packages_get_fewer_copies_when_too_few_nodes_are_left(pair, make, caplog):
    one, other = pair
    broker = make()
    one.kill()

    with caplog.at_level(logging.WARNING, "django-q"):
        broker.enqueue("a")
        broker.enqueue("b")

    texts = [record.getMessage() for record in caplog.records]
    assert texts == [f"Disque at {other.url} reaches too few nodes: packages are kept on 1 of them."]
    assert broker.queue_size() == 2


def test_copies_that_were_asked_for_are_not_given_up(pair, make, q_cluster):
    q_cluster(disque_nodes=[node.url for node in pair], disque_replicate=2)
    broker = make()
    id = broker.enqueue("a")
    assert broker.connection.each(lambda node: bool(node.run("SHOW", id))) == [True, True]

    pair[0].kill()

    with pytest.raises(BrokerError, match=r"disque_replicate.*NOREPL"):
        broker.enqueue("b")


def test_at_most_once_is_kept_on_one_node(pair, make, monkeypatch):
    monkeypatch.setattr(Conf, "RETRY", 0)
    broker = make()

    id = broker.enqueue("a")

    assert sorted(broker.connection.each(lambda node: bool(node.run("SHOW", id)))) == [False, True]
    assert receipts(take(broker)) == [None]
    assert broker.connection.each(lambda node: node.run("SHOW", id)) == [None, None]


def test_a_worker_finds_what_waits_on_any_node(pair, make):
    one, other = pair
    producer, worker = make(), make()
    use(producer, one)
    use(worker, other)
    worker.lease(1)

    producer.enqueue_many("ab")

    assert worker.queue_size() == 2
    assert sorted(payloads(take(worker)) + payloads(worker.lease(5))) == ["a", "b"]


def test_what_is_deleted_is_deleted_on_all_nodes(pair, make):
    producer, worker = make(), make()
    use(producer, pair[0])
    use(worker, pair[1])
    first, second = producer.enqueue_many("ab")

    assert worker.delete(first)
    assert not worker.delete(first)
    worker.purge_queue()

    nodes = producer.connection
    wait_until(lambda: nodes.each(lambda node: node.run("SHOW", second)) == [None, None])
    assert nodes.each(lambda node: node.run("INFO", "jobs")["registered_jobs"]) == [0, 0]
