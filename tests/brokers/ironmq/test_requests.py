"""The IronMQ broker on reservations and requests: what it does its own way."""

import socket
import threading

import pytest

from django_q.brokers.ironmq import IronMQBroker
from django_q.exceptions import BrokerError
from tests.waiting import wait_until


def receipts(leases):
    return [lease.receipt for lease in leases]


def payloads(leases):
    return [lease.payload for lease in leases]


# Reservations: what the old broker got wrong.


def test_an_acknowledgement_takes_effect(ironmq, broker):
    broker.enqueue_many("ab")
    one, other = receipts(broker.lease(2))

    broker.acknowledge(one)
    broker.fail(other)

    assert broker.queue_size() == 0
    ironmq.advance(60)
    assert broker.lease(10) == []


def test_a_lease_lasts_for_retry_and_is_renewed_for_retry(ironmq, broker):
    broker.enqueue("a")
    (receipt,) = receipts(broker.lease(1))

    for _ in range(3):
        ironmq.advance(59)
        assert broker.lease(1) == []
        assert broker.renew([receipt]) == [receipt]
    ironmq.advance(60)

    assert payloads(broker.lease(1)) == ["a"]


@pytest.mark.parametrize(("retry", "lease"), [(1, 30), (30.2, 31), (86_400, 86_400)])
def test_a_lease_is_as_long_as_retry_within_the_limits(ironmq, queue, q_cluster, retry, lease):
    q_cluster(retry=retry, iron_mq=ironmq.settings)
    broker = IronMQBroker(queue)
    broker.enqueue("a")
    (receipt,) = receipts(broker.lease(1))
    broker.renew([receipt])

    ironmq.advance(lease - 0.5)
    assert broker.lease(1) == []
    ironmq.advance(0.5)
    assert payloads(broker.lease(1)) == ["a"]
    broker.close()


def test_a_receipt_stays_the_same_over_all_renewals(ironmq, broker):
    broker.enqueue("a")
    (receipt,) = receipts(broker.lease(1))
    for _ in range(3):
        assert broker.renew([receipt]) == [receipt]

    broker.release([receipt])
    (again,) = broker.lease(1)
    broker.renew(receipts([again]))
    broker.acknowledge(again.receipt)

    assert broker.queue_size() == 0
    # A touch is a reservation to IronMQ, and counts.
    assert again.deliveries == 5


def test_another_instance_may_use_a_receipt_until_it_is_renewed(make, broker):
    broker.enqueue_many("ab")
    fresh, renewed = receipts(broker.lease(2))
    broker.renew([renewed])
    other = make()

    other.release([fresh, renewed])

    (lease,) = other.lease(2)
    assert lease.payload == "a"


def test_an_old_receipt_of_the_same_instance_is_worthless(ironmq, broker):
    broker.enqueue("a")
    (old,) = receipts(broker.lease(1))
    broker.renew([old])
    ironmq.advance(60)
    (new,) = receipts(broker.lease(1))

    broker.acknowledge(old)
    broker.release([old])
    assert broker.renew([old]) == []

    assert broker.renew([new]) == [new]


def test_nothing_is_remembered_of_leases_that_ended(ironmq, broker):
    broker.enqueue_many("abcd")
    done, back, lost, deleted = broker.lease(4)
    broker.renew(receipts([done, back, lost, deleted]))

    broker.acknowledge(done.receipt)
    broker.release([back.receipt])
    assert broker.delete(deleted.id)
    ironmq.advance(60)
    broker.renew([lost.receipt])

    assert broker._reservations == {}


def test_a_batch_with_a_lost_lease_is_acknowledged_but_for_that_one(ironmq, make, broker):
    broker.enqueue_many("abc")
    leases = broker.lease(3)
    broker.renew(receipts(leases[:1] + leases[2:]))
    ironmq.advance(30)
    broker.renew(receipts(leases[:1] + leases[2:]))
    ironmq.advance(30)
    other = make()
    assert payloads(other.lease(3)) == ["b"]

    broker.acknowledge_many(receipts(leases))

    assert broker.queue_size() == 1
    broker.acknowledge_many(receipts(leases))


def test_what_another_has_leased_cannot_be_deleted(make, broker):
    (id,) = broker.enqueue_many("a")
    (lease,) = broker.lease(1)

    assert not make().delete(id)

    assert broker.renew([lease.receipt]) == [lease.receipt]
    assert broker.delete(id)
    assert not broker.delete(id)


# Requests: each is paid for.


def test_an_idle_lease_of_20_seconds_is_one_request_on_one_connection(ironmq, broker):
    assert (broker.is_metered, broker.idle_wait) == (True, 20.0)
    came = []
    thread = threading.Thread(target=lambda: came.append(broker.lease(1, broker.idle_wait)))
    thread.start()
    wait_until(lambda: ironmq.counts())

    ironmq.advance(19.5)
    assert came == []
    ironmq.advance(0.5)
    thread.join()
    broker.lease(1)

    assert came == [[]]
    assert (ironmq.counts(), ironmq.connections()) == ({"reserve": 2}, 1)


@pytest.mark.parametrize(("batch", "expected"), [(100, 31), (10, 301)])
def test_a_thousand_tasks_cost_at_most_350_requests(ironmq, broker, batch, expected):
    tasks = ["x" * 500 + str(number) for number in range(1000)]
    for start in range(0, len(tasks), batch):
        broker.enqueue_many(tasks[start : start + batch])

    came = []
    while leases := broker.lease(batch) if len(came) < len(tasks) else []:
        came += payloads(leases)
        broker.acknowledge_many(receipts(leases))

    assert came == tasks
    # One more, to see whether the queue is there.
    assert ironmq.total() == expected
    assert ironmq.connections() == 1


def test_more_than_a_hundred_go_in_several_requests_in_their_order(ironmq, broker):
    tasks = [str(number) for number in range(250)]

    ids = broker.enqueue_many(iter(tasks))
    leases = [lease for _ in range(3) for lease in broker.lease(250)]
    broker.acknowledge_many(receipts(leases))

    assert ([lease.id for lease in leases], payloads(leases)) == (ids, tasks)
    assert ironmq.counts() == {"get_queue": 1, "post": 3, "reserve": 3, "delete_many": 3}


def test_an_error_says_what_was_taken_before_it(ironmq, broker, monkeypatch):
    post, posts = broker._post, iter([True, False])
    monkeypatch.setattr(
        broker, "_post", lambda batch: post(batch) if next(posts) else broker._call("GET", "nope")
    )

    with pytest.raises(BrokerError) as caught:
        broker.enqueue_many(f"{number}" for number in range(150))

    assert list(caught.value.taken) == list(range(100))
    assert broker.queue_size() == 100


def test_a_release_keeps_the_order_and_costs_a_request_each(ironmq, broker):
    broker.enqueue_many("abcd")
    held = receipts(broker.lease(3))
    ironmq.reset_counts()

    broker.release(held)

    assert ironmq.counts() == {"release": 3}
    assert payloads(broker.lease(4)) == list("abcd")


def test_a_request_leaves_in_one_piece(broker, monkeypatch):
    # A worker that is killed between head and body must not leave "delete all messages" behind.
    pieces, sendall = [], socket.socket.sendall
    monkeypatch.setattr(
        socket.socket, "sendall", lambda self, data: pieces.append(data) or sendall(self, data)
    )

    broker.enqueue_many(["a" * 1000] * 100)
    broker.acknowledge_many([lease.receipt for lease in broker.lease(100)])

    assert [piece.split(b" ")[0] for piece in pieces].count(b"DELETE") == 1
    assert all(piece.startswith((b"GET /", b"POST /", b"DELETE /")) for piece in pieces)
    assert broker.queue_size() == 0
