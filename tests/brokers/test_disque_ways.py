"""The Disque broker's own ways: what is sent, at most once, receipts, strangers, waiting."""

import contextlib
import time

import pytest

from django_q.brokers.disque import BATCH, SCAN, Disque
from django_q.brokers.disque_nodes import Node
from django_q.conf import Conf
from django_q.exceptions import BrokerError, BrokerUnavailable
from tests.servers.disque_thread import ThreadedNode


@pytest.fixture
def server():
    with ThreadedNode() as server:
        yield server


@pytest.fixture
def configure(server, q_cluster):
    """Function that sets more settings."""
    return lambda **values: q_cluster(disque_nodes=[f"127.0.0.1:{server.port}"], **values)


@pytest.fixture
def broker(configure):
    configure(retry=10)
    broker = Disque("mail")
    yield broker
    broker.close()


@pytest.fixture
def calls(monkeypatch):
    """The commands that the broker has sent one by one, by name."""
    sent = []
    run = Node.run
    monkeypatch.setattr(
        Node, "run", lambda self, *words: sent.append(words[0]) or run(self, *words)
    )
    return sent


def payloads(leases):
    return [lease.payload for lease in leases]


def receipts(leases):
    return [lease.receipt for lease in leases]


def fields(server, id):
    facts = server.call("SHOW", id)
    return facts and dict(zip((name.decode() for name in facts[::2]), facts[1::2], strict=True))


def known(server):
    return server.call("INFO", "jobs")["registered_jobs"]


# What is sent.


def test_packages_live_seven_days_and_come_again_after_retry(broker, server):
    id = broker.enqueue("a")

    facts = fields(server, id)
    assert (facts["queue"], facts["body"]) == (b"mail", b"a")
    assert (facts["retry"], facts["ttl"], facts["delay"]) == (10, 604_800, 0)


@pytest.mark.parametrize(("retry", "sent"), [(0.5, 2), (2.5, 3), (60, 60)])
def test_parts_of_seconds_are_rounded_up(broker, server, configure, retry, sent):
    configure(retry=retry, disque_ttl=100.5)

    (id,) = broker.enqueue_many(["a"], delay=0.2)

    facts = fields(server, id)
    assert (facts["retry"], facts["ttl"], facts["delay"]) == (sent, 101, 1)


def test_bodies_may_have_spaces_and_any_other_character(broker):
    tasks = ["with  spaces ", "line\r\nbreaks", "\x00", "世界", "*1\r\n$4\r\nPING\r\n", ""]

    broker.enqueue_many(tasks)

    assert payloads(broker.lease(10)) == tasks


def test_many_are_sent_in_batches_and_keep_their_order(broker, server):
    tasks = [str(number) for number in range(2 * BATCH + 50)]

    ids = broker.enqueue_many(iter(tasks))
    leases = [lease for _ in range(3) for lease in broker.lease(1000)]

    assert payloads(leases) == tasks
    assert [lease.id for lease in leases] == ids
    assert broker.renew(receipts(leases)) == receipts(leases)
    broker.acknowledge_many(receipts(leases))
    assert known(server) == 0


def test_a_batch_that_is_refused_in_part_is_not_there_at_all(broker, server, monkeypatch):
    run_many = Node.run_many

    def pause_in_the_middle(self, calls):
        first, *rest = calls
        replies = run_many(self, [first])
        server.call("PAUSE", "mail", "in")
        return replies + run_many(self, rest)

    monkeypatch.setattr(Node, "run_many", pause_in_the_middle)

    with pytest.raises(BrokerError, match=r"PAUSE <queue> none.*PAUSED"):
        broker.enqueue_many("abc")
    assert known(server) == 0


# At most once.


@pytest.fixture
def no_retry(configure, monkeypatch):
    """Function that sets `retry` to 0, until the end of its context."""

    @contextlib.contextmanager
    def no_retry():
        with monkeypatch.context() as patch:
            patch.setattr(Conf, "RETRY", 0)
            yield

    return no_retry


def test_with_retry_zero_a_package_is_delivered_once_and_forgotten(broker, server, no_retry):
    with no_retry():
        id = broker.enqueue("a")
    assert fields(server, id)["retry"] == 0

    ((receipt, payload),) = broker.lease(1)

    assert (receipt, payload) == (None, "a")
    assert known(server) == 0


def test_packages_of_both_kinds_may_wait_beside_each_other(broker, server, no_retry):
    broker.enqueue("again")
    with no_retry():
        broker.enqueue("once")

    again, once = broker.lease(5)

    assert again.receipt.startswith(again.id)
    assert once.receipt is None
    server.advance(10.5)
    assert payloads(broker.lease(5)) == ["again"]


# Receipts.


def test_a_receipt_names_job_and_node_and_the_job_alone_is_enough(broker, server):
    broker.enqueue_many("ab")
    first, second = broker.lease(2)
    assert first.receipt == f"{first.id}@127.0.0.1:{server.port}"

    assert broker.renew([first.id, second.id]) == [first.id, second.id]
    broker.acknowledge(first.id)
    broker.acknowledge_many([f"{second.id}@10.0.0.1:7711"])

    assert known(server) == 0


def test_a_receipt_that_is_none_of_ours_does_not_stop_the_others(broker, server):
    broker.enqueue("a")
    lent = receipts(broker.lease(1))

    assert broker.renew(["0" * 32, *lent, "D-bad@x"]) == lent
    broker.release(["", "0" * 32])
    broker.acknowledge_many(["0" * 32, *lent, "D-bad@x"])

    assert known(server) == 0


@pytest.mark.parametrize(("fast", "command"), [(False, "ACKJOB"), (True, "FASTACK")])
def test_fastack_is_used_when_asked_for(broker, configure, calls, fast, command):
    configure(disque_fastack=fast)
    broker.enqueue_many("ab")
    lent = receipts(broker.lease(2))
    calls.clear()

    broker.acknowledge_many(lent)

    assert calls == [command]


# The queue.


def test_a_purge_goes_through_all_jobs_and_spares_other_queues(broker, server):
    other = Disque("other")
    other.enqueue("a")
    broker.enqueue_many(str(number) for number in range(SCAN + 300))
    broker.enqueue_many(["delayed"], delay=60)
    broker.lease(50)

    broker.purge_queue()

    assert known(server) == 1
    assert payloads(other.lease(1)) == ["a"]
    other.close()


def test_sizes_tell_what_waits_and_not_what_is_leased(broker):
    broker.enqueue_many("abc")
    broker.enqueue_many(["later"], delay=60)
    broker.lease(1)

    assert broker.queue_size() == 2
    assert broker.lock_size() is None


def test_bytes_of_a_stranger_are_lent_and_can_be_taken_away(broker, server):
    server.call("ADDJOB", "mail", b"\xff\x00pickle", 0)
    broker.enqueue("a")

    leases = broker.lease(5)

    assert payloads(leases) == ["\ufffd\x00pickle", "a"]
    broker.fail(leases[0].receipt)
    assert known(server) == 1


def test_the_version_is_told(broker):
    assert broker.info() == "Disque 1.0-rc1"


# Waiting.


def test_a_waiting_worker_gets_a_package_at_once(broker, server):
    with server.later(0.3, "ADDJOB", "mail", "a", 0):
        began = time.monotonic()

        leases = broker.lease(10, 5.0)

        assert payloads(leases) == ["a"]
        assert 0.2 < time.monotonic() - began < 2.5


def test_a_paused_queue_gives_nothing_and_refuses(broker, server):
    broker.enqueue("a")
    server.call("PAUSE", "mail", "all")

    assert broker.lease(1, 0.2) == []
    with pytest.raises(BrokerError, match="PAUSE <queue> none"):
        broker.enqueue("b")


def test_a_full_server_refuses_packages_but_lets_workers_drain(broker, server):
    broker.enqueue("abcdef")
    server.call("CONFIG", "SET", "maxmemory", 5)

    with pytest.raises(BrokerError, match=r"out of memory.*maxmemory") as caught:
        broker.enqueue("b")

    assert not isinstance(caught.value, BrokerUnavailable)
    broker.acknowledge_many(receipts(broker.lease(1)))
    assert known(server) == 0


def test_a_delay_longer_than_a_life_is_refused(broker, configure):
    configure(disque_ttl=100)

    with pytest.raises(BrokerError, match="DELAY is greater than TTL"):
        broker.enqueue_many(["a"], delay=100)
