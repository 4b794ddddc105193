"""Who waits at the bell of the Redis broker sends its lease along, and nothing is lost by that."""

import threading
import time

import pytest
import redis
from redis.client import Pipeline

from django_q.brokers.redis_broker import Redis
from django_q.exceptions import BrokerError


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


def wait_until_blocked(broker, count=1):
    while broker.connection.info("clients")["blocked_clients"] < count:
        time.sleep(0.01)


def leased_by_a_thread(broker, limit=1, wait=5.0):
    """Lease in a thread; a list that has the leases once the thread, given too, has ended."""
    came = []
    thread = threading.Thread(target=lambda: came.extend(broker.lease(limit, wait)))
    thread.start()
    return came, thread


def test_who_waits_sends_the_lease_along_with_the_wait(broker, other, monkeypatch):
    assert broker.lease(1) == []
    sent = []
    send = redis.Connection.send_packed_command
    monkeypatch.setattr(
        redis.Connection,
        "send_packed_command",
        lambda self, command, **words: (
            sent.append(threading.get_ident()) or send(self, command, **words)
        ),
    )

    came, thread = leased_by_a_thread(broker)
    wait_until_blocked(other)
    other.enqueue("a")
    name = thread.ident
    thread.join()

    assert payloads(came) == ["a"]
    assert sent.count(name) == 1


def test_a_frozen_worker_that_waited_holds_up_one_package(broker, other):
    broker.lease(1)
    came, thread = leased_by_a_thread(broker, limit=50)
    wait_until_blocked(other)

    other.enqueue_many("abc")
    thread.join()

    assert payloads(came) == ["a"]
    assert payloads(other.lease(50)) == ["b", "c"]


def test_a_lease_whose_reply_was_lost_at_the_bell_is_given_back(broker, other, monkeypatch):
    broker.lease(1)
    execute = Pipeline.execute

    def execute_and_lose(self, **words):
        replies = execute(self, **words)
        monkeypatch.setattr(Pipeline, "execute", execute)
        raise redis.ConnectionError(f"Connection closed by server: {len(replies)}")

    monkeypatch.setattr(Pipeline, "execute", execute_and_lose)
    other.enqueue("a")

    leases = broker.lease(1, 5.0)

    assert payloads(leases) == ["a"]
    assert leases[0].deliveries == 1
    assert other.lock_size() == 1


def test_a_server_that_forgot_the_scripts_gets_them_from_who_waits(broker, other):
    broker.lease(1)
    other.connection.script_flush()
    other.enqueue("a")
    other.connection.script_flush()

    assert payloads(broker.lease(1, 5.0)) == ["a"]


def test_trouble_at_the_bell_loses_nothing_that_was_lent(broker, other):
    broker.lease(1)
    other.enqueue("a")
    other.connection.set("{django_q:mail}:bell", "no list")

    assert payloads(broker.lease(1, 5.0)) == ["a"]
    assert broker.lease(1) == []
    other.connection.set("{django_q:mail}:bell", "no list")
    with pytest.raises(BrokerError, match="WRONGTYPE"):
        broker.lease(1, 5.0)
