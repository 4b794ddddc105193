"""The Redis broker keeps the contract; and its own ways: ids, bell, lost replies."""

import threading
import time

import pytest
import redis

from django_q.brokers.base import Broker
from django_q.brokers.redis_batches import ENQUEUE_BATCH
from django_q.brokers.redis_broker import Redis
from django_q.brokers.redis_lend import LEASE
from django_q.brokers.redis_scripts import BATCH, ENQUEUE, Script
from django_q.testing import BrokerSuite
from tests.servers.base import free_port


class TestRedis(BrokerSuite):
    """Redis or Valkey, whichever the tests found."""

    @pytest.fixture(autouse=True)
    def server(self, redis_url, q_cluster):
        self.configure = q_cluster
        q_cluster(redis=redis_url)

    def make_broker(self) -> Broker:
        return Redis(self.queue_name())

    def make_dead_broker(self) -> Broker:
        self.configure(redis=f"redis://127.0.0.1:{free_port()}")
        return Redis(self.queue_name())


@pytest.fixture
def broker(redis_url, q_cluster):
    q_cluster(redis=redis_url)
    broker = Redis("mail")
    yield broker
    broker.close()


@pytest.fixture
def other(broker):
    other = Redis("mail")
    yield other
    other.close()


def payloads(leases):
    return [lease.payload for lease in leases]


def receipts(leases):
    return [lease.receipt for lease in leases]


# Many at once.


def test_calls_larger_than_a_script_takes_keep_ids_and_order(broker):
    count = 2 * BATCH + 300
    tasks = [str(number) for number in range(count)]

    ids = broker.enqueue_many(tasks)
    leases = [lease for _ in range(3) for lease in broker.lease(count)]
    assert [lease.id for lease in leases] == ids

    assert broker.renew(receipts(leases)) == receipts(leases)
    broker.release(receipts(leases))
    again = [lease for _ in range(3) for lease in broker.lease(count)]
    assert payloads(again) == tasks

    broker.acknowledge_many(receipts(again))
    assert (broker.queue_size(), broker.lock_size()) == (0, 0)


def test_packages_that_are_held_back_keep_their_order(broker):
    tasks = [str(number) for number in range(ENQUEUE_BATCH + 100)]

    broker.enqueue_many(tasks, delay=0.05)

    came = []
    while len(came) < len(tasks):
        came += payloads(broker.lease(BATCH, 1.0))
    assert came == tasks


def test_large_packages_are_sent_a_few_at_a_time(broker, monkeypatch):
    sizes = []
    run = Script.run
    monkeypatch.setattr(
        Script,
        "run",
        lambda self, c, keys, *args: sizes.append(len(args)) or run(self, c, keys, *args),
    )

    broker.enqueue_many(["x" * 5 * 2**20] * 5)

    assert sizes == [2 * 2, 2 * 2, 2 * 1]


def test_large_packages_are_lent_a_few_at_a_time(broker):
    broker.enqueue_many(["small"] * 4 + [letter * 3 * 2**20 for letter in "abcdef"])

    sizes = [len(broker.lease(10)) for _ in range(4)]

    assert sizes[0] >= 4
    assert sum(sizes) == 10
    assert max(sizes[1:]) <= 4


def test_threads_may_share_a_broker_to_enqueue(broker):
    def produce(number):
        for count in range(25):
            broker.enqueue(f"{number}.{count}")

    threads = [threading.Thread(target=produce, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(payloads(broker.lease(500)))) == 200


# Deleted packages.


def test_a_queue_of_deleted_packages_is_empty(broker):
    ids = broker.enqueue_many(str(number) for number in range(50))
    for id in ids[:40]:
        assert broker.delete(id)
    assert broker.queue_size() == 10

    assert payloads(broker.lease(5)) == ["40", "41", "42", "43", "44"]
    assert broker.queue_size() == 5
    for id in ids[45:]:
        broker.delete(id)

    assert broker.lease(5) == []
    assert broker.queue_size() == 0


# Waiting.


def test_one_call_of_a_producer_wakes_every_waiting_worker(broker):
    workers = [Redis("mail") for _ in range(4)]
    came = []

    def wait(worker):
        leases = worker.lease(1, 5.0)
        came.append((payloads(leases), time.monotonic()))
        worker.close()

    threads = [threading.Thread(target=wait, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    while broker.connection.info("clients")["blocked_clients"] < len(workers):
        time.sleep(0.01)
    sent = time.monotonic()
    broker.enqueue_many("abcd")
    for thread in threads:
        thread.join()

    assert sorted(payload for got, _ in came for payload in got) == list("abcd")
    assert max(moment for _, moment in came) - sent < 2.5


def test_bells_that_nobody_heard_do_not_pile_up(broker):
    for number in range(20):
        broker.enqueue(str(number))

    assert broker.connection.llen("{django_q:mail}:bell") == 1
    broker.acknowledge_many(receipts(broker.lease(20)))
    broker.lease(1)
    assert broker.connection.llen("{django_q:mail}:bell") == 0


def test_a_waiting_worker_wakes_when_a_package_is_due(broker):
    broker.enqueue_many(["due"], delay=0.3)
    began = time.monotonic()

    assert payloads(broker.lease(1, 5.0)) == ["due"]

    assert 0.25 < time.monotonic() - began < 2.5


# Lost replies, lost scripts, lost connections.


@pytest.fixture
def lose_reply(monkeypatch):
    """Function that lets the server run a script the next time, and loses its reply."""
    run = Script.run

    def lose(script):
        def run_and_lose(self, connection, keys, *args):
            reply = run(self, connection, keys, *args)
            if self is script:
                monkeypatch.setattr(Script, "run", run)
                raise redis.ConnectionError("Connection closed by server.")
            return reply

        monkeypatch.setattr(Script, "run", run_and_lose)

    return lose


def test_an_enqueue_whose_reply_was_lost_keeps_packages_once(broker, lose_reply):
    lose_reply(ENQUEUE)

    ids = broker.enqueue_many(["a", "b"])

    assert [lease.id for lease in broker.lease(10)] == ids


def test_a_repeated_enqueue_finds_that_the_package_was_done_already(broker, other, monkeypatch):
    run = Script.run

    def run_and_lose(self, connection, keys, *args):
        run(self, connection, keys, *args)
        monkeypatch.setattr(Script, "run", run)
        other.acknowledge_many(receipts(other.lease(10)))
        raise redis.ConnectionError("Connection closed by server.")

    monkeypatch.setattr(Script, "run", run_and_lose)
    broker.enqueue("a")

    assert broker.queue_size() == 0


def test_a_lease_whose_reply_was_lost_is_given_back(broker, lose_reply):
    broker.enqueue_many("abc")
    lose_reply(LEASE)

    leases = broker.lease(2)

    assert payloads(leases) == ["a", "b"]
    assert [lease.deliveries for lease in leases] == [1, 1]
    assert broker.lock_size() == 2


def test_a_server_that_forgot_the_scripts_gets_them_again(broker):
    broker.enqueue("a")

    broker.connection.script_flush()

    broker.enqueue("b")
    assert payloads(broker.lease(2)) == ["a", "b"]


def test_a_connection_that_broke_is_made_again(broker, other):
    broker.enqueue("a")

    other.connection.client_kill_filter(_type="normal")

    assert broker.queue_size() == 1
    broker.enqueue("b")
    assert payloads(broker.lease(2)) == ["a", "b"]


# Queues beside each other.


def test_queues_do_not_see_each_other(broker):
    with_suffix = Redis("mail:q")

    broker.enqueue("a")
    with_suffix.enqueue("b")
    broker.purge_queue()

    assert broker.queue_size() == 0
    assert payloads(with_suffix.lease(5)) == ["b"]
    with_suffix.close()
