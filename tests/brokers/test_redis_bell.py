"""Who waits at the bell of the Redis broker sends its lease along, and nothing is lost by that."""

import threading
import time

import pytest
import redis

from django_q.brokers import redis_broker
from django_q.brokers.redis_broker import Redis
from django_q.brokers.redis_lend import lend_at_bell
from django_q.exceptions import BrokerError


@pytest.fixture(params=["lines", "client"])
def broker(redis_url, q_cluster, request):
    q_cluster(redis=redis_url)
    broker = Redis("mail")
    if request.param == "client":
        broker._lines = broker.connection
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

    def lend_and_lose(*args):
        reply = lend_at_bell(*args)
        monkeypatch.setattr(redis_broker, "lend_at_bell", lend_at_bell)
        raise redis.ConnectionError(f"Connection closed by server: {len(reply)}")

    monkeypatch.setattr(redis_broker, "lend_at_bell", lend_and_lose)
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


def _delayed(broker):
    broker.enqueue_many(["late"], delay=60)


def _of_rank(broker):
    broker.enqueue_many(["high"], priority=1)


def _leased_by_another(broker):
    broker.enqueue("leased")
    broker.lease(1)


def _from_an_old_producer(broker):
    broker.connection.rpush("django_q:mail:q", "old")


def _nothing(broker):
    """Leave the queue as it is, so that the short way is taken."""


@pytest.mark.parametrize(
    "beside", [_nothing, _delayed, _of_rank, _leased_by_another, _from_an_old_producer]
)
def test_one_at_a_time_is_lent_as_many_are(broker, other, beside):
    found = []
    for limit in (1, 10):
        broker.purge_queue()
        beside(other)
        ids = other.enqueue_many("abc")
        back = broker.lease(10)
        broker.release([lease.receipt for lease in back], counted=True)
        other.delete(ids[1])
        leases = [lease for _ in range(6) for lease in broker.lease(limit)]
        found.append([(lease.payload, lease.deliveries) for lease in leases])
        assert (
            len({lease.receipt for lease in leases})
            == len(leases)
            == broker.lock_size() - (beside is _leased_by_another)
        )
        assert broker.queue_size() == 0

    assert found[0] == found[1]
    assert ("a", 2) in found[0]
    assert ("b", 2) not in found[0]


def test_who_takes_one_of_several_rings_for_the_next(broker, other):
    other.enqueue_many("ab")
    bell = "{django_q:mail}:bell"
    other.connection.delete(bell)

    assert payloads(broker.lease(1)) == ["a"]
    assert other.connection.llen(bell) == 1
    other.connection.delete(bell)
    assert payloads(broker.lease(1)) == ["b"]
    assert other.connection.llen(bell) == 0


def test_a_lease_of_one_lapses_as_any_other(broker, other, q_cluster, redis_url):
    q_cluster(redis=redis_url, retry=1, timeout=None)
    other.enqueue("a")
    assert broker.lease(1)[0].deliveries == 1

    (again,) = other.lease(1, 5.0)

    assert (again.payload, again.deliveries) == ("a", 2)


def test_a_refusal_in_the_middle_of_two_commands_leaves_the_line_in_use(redis_url, q_cluster):
    q_cluster(redis=redis_url)
    broker = Redis("mail")
    try:
        refused, told = broker._lines.together(("LPUSH", "a"), ("ECHO", "b"))

        assert isinstance(refused, redis.ResponseError)
        assert told == b"b"
        assert broker._lines.together(("ECHO", "c"), ("ECHO", "d")) == [b"c", b"d"]
        assert len(broker._lines._idle) == 1
    finally:
        broker.close()
