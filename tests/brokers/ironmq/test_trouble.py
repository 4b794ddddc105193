"""The IronMQ broker when the server is busy, away, silent, or somebody else."""

import contextlib
import multiprocessing
import socket
import threading
import time
import traceback

import pytest

from django_q.brokers import ironmq_client
from django_q.brokers.ironmq import IronMQBroker
from django_q.exceptions import BrokerError, BrokerUnavailable
from tests.servers.base import free_port
from tests.servers.ironmq_process import TOKEN

#: Seconds within which every error has to come.
LIMIT = 5.0


def told(call, kind=BrokerUnavailable):
    """Give the text of the error, which must come in time and must not show the token."""
    began = time.monotonic()
    with pytest.raises(kind) as caught:
        call()
    assert time.monotonic() - began < LIMIT
    assert TOKEN not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


@contextlib.contextmanager
def silenced(server):
    """Let the server take connections, and do nothing else."""
    server.pause()
    try:
        yield
    finally:
        server.resume()


# Busy.


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("text", ["", "<html>busy</html>"])
def test_a_busy_server_is_asked_again(ironmq, broker, status, text):
    ironmq.fail("answer", "post", status=status, text=text, times=2)
    ironmq.fail("answer", "reserve", status=status, text=text, times=1)

    broker.enqueue("a")
    (lease,) = broker.lease(1)

    assert lease.payload == "a"
    assert ironmq.counts()["post"] == 3


def test_a_server_that_stays_busy_is_unavailable_after_a_few_tries(ironmq, broker):
    ironmq.fail("answer", status=503)

    assert "answers GET queues/" in told(lambda: broker.enqueue("a"))

    assert ironmq.total() == 1 + len(ironmq_client.PAUSES)
    ironmq.heal()
    broker.enqueue("a")


def test_the_pauses_vary_so_that_workers_spread(ironmq, broker, monkeypatch):
    pauses = []
    monkeypatch.setattr(ironmq_client.time, "sleep", pauses.append)
    ironmq.fail("answer", status=503)
    for _ in range(3):
        told(broker.queue_size)

    for number, middle in enumerate(ironmq_client.PAUSES):
        same = pauses[number :: len(ironmq_client.PAUSES)]
        assert len(set(same)) == 3
        assert all(0.5 * middle <= pause <= 1.5 * middle for pause in same)


@pytest.mark.parametrize("status", [500, 502, 504])
def test_what_may_have_been_kept_is_not_sent_twice(ironmq, broker, status):
    ironmq.fail("answer", "post", status=status)
    told(lambda: broker.enqueue("a"))
    assert ironmq.counts()["post"] == 1

    ironmq.fail("answer", "get_queue", status=status, times=1)
    assert broker.queue_size() == 0


# Connections.


def test_a_dropped_connection_is_made_again_but_a_package_is_not_sent_again(ironmq, broker):
    broker.enqueue("a")
    (lease,) = broker.lease(1)

    ironmq.fail("drop", "touch", "delete_many", times=1)
    assert broker.renew([lease.receipt]) == [lease.receipt]
    ironmq.fail("drop_after", "delete_many", times=1)
    broker.acknowledge(lease.receipt)
    assert broker.queue_size() == 0

    ironmq.fail("drop_after", "post", times=1)
    assert "closed connection" in told(lambda: broker.enqueue("b"))
    assert broker.queue_size() == 1


def test_a_renewal_whose_answer_was_lost_is_a_lost_lease(ironmq, broker):
    broker.enqueue("a")
    (lease,) = broker.lease(1)

    ironmq.fail("drop_after", "touch", times=1)

    assert broker.renew([lease.receipt]) == []


def test_calls_share_one_connection_until_it_was_idle_for_long(ironmq, broker, monkeypatch):
    for _ in range(5):
        broker.enqueue("a")
    assert ironmq.connections() == 1

    monkeypatch.setattr(ironmq_client, "IDLE_LIMIT", 0.0)
    broker.enqueue("a")
    assert ironmq.connections() == 2


def test_a_server_that_restarts_is_found_again(ironmq, broker):
    broker.enqueue("a")

    ironmq.restart()

    broker.enqueue("b")
    assert [lease.payload for lease in broker.lease(5)] == ["b"]


def test_threads_may_share_a_broker_to_enqueue(broker):
    def produce(number):
        for count in range(20):
            broker.enqueue(f"{number}.{count}")

    threads = [threading.Thread(target=produce, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    came = broker.lease(100) + broker.lease(100)
    assert len({lease.payload for lease in came}) == 120


def test_a_forked_process_has_connections_of_its_own(ironmq, broker):
    broker.enqueue("a")
    (lease,) = broker.lease(1)
    broker.renew([lease.receipt])

    child = multiprocessing.get_context("fork").Process(target=broker.acknowledge, args=lease[:1])
    child.start()
    child.join()

    assert child.exitcode == 0
    assert (broker.queue_size(), ironmq.connections()) == (0, 2)


# Away, silent, or somebody else.


@pytest.fixture
def calls():
    """What a producer and a worker do."""
    return [
        lambda broker: broker.enqueue("a"),
        lambda broker: broker.lease(1),
        lambda broker: broker.acknowledge("1:a"),
        lambda broker: broker.renew(["1:a"]),
        lambda broker: broker.release(["1:a"]),
        lambda broker: broker.delete("1"),
        lambda broker: broker.queue_size(),
        lambda broker: broker.purge_queue(),
        lambda broker: broker.delete_queue(),
        lambda broker: broker.ping(),
    ]


def test_nobody_listens(make, calls):
    port = free_port()
    broker = make(port=port)

    for call in calls:
        text = told(lambda call=call: call(broker))
        assert f"127.0.0.1:{port} cannot be reached" in text
        assert '"host", "port" and "protocol" of Q_CLUSTER["iron_mq"]' in text


def test_the_host_does_not_exist(make, calls):
    broker = make(host="nowhere.invalid")

    for call in calls:
        text = told(lambda call=call: call(broker))
        assert "nowhere.invalid" in text
        assert '"host"' in text


def test_the_protocol_is_the_wrong_one(make):
    assert '"protocol"' in told(make(protocol="https").lease)


def test_a_server_that_accepts_and_never_answers(ironmq, make):
    broker = make()
    with silenced(ironmq):
        assert "did not answer within 4.0 s" in told(lambda: broker.lease(1))
        began = time.monotonic()
        assert "did not answer" in told(broker.ping)
        assert time.monotonic() - began < 2

    broker.enqueue("a")


def test_a_ping_ends_in_time_when_the_name_is_not_resolved(make, monkeypatch):
    broker = make(host="slow.invalid")
    is_over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: is_over.wait(10) and [])
    began = time.monotonic()

    assert "did not answer" in told(broker.ping)

    assert time.monotonic() - began < 2
    is_over.set()


@pytest.mark.parametrize(("key", "value"), [("token", "wrong"), ("project_id", "wrong")])
def test_the_login_is_wrong(make, calls, key, value):
    broker = make(**{key: value})

    for call in calls:
        text = told(lambda call=call: call(broker), BrokerError)
        assert "401" in text
        assert '"token" and "project_id" of Q_CLUSTER["iron_mq"]' in text


@pytest.mark.parametrize("status", [401, 403])
def test_a_suspended_project_is_no_lost_lease(ironmq, broker, status):
    broker.enqueue("a")
    (lease,) = broker.lease(1)
    ironmq.fail("answer", status=status, text='{"msg": "Project suspended"}')

    for call in (broker.acknowledge, broker.fail, lambda r: broker.renew([r]), broker.delete):
        assert "suspended" in told(lambda call=call: call(lease.receipt), BrokerError)


@pytest.mark.parametrize("call", [lambda b: b.enqueue("a"), lambda b: b.ping()])
def test_a_project_that_is_not_found(ironmq, broker, call):
    ironmq.fail("answer", status=404, text='{"msg": "Project not found"}')

    assert '"project_id"' in told(lambda: call(broker), BrokerError)


@pytest.mark.parametrize("status", [200, 301, 401, 404, 500])
@pytest.mark.parametrize("text", ["<html>" + "." * 500, "[]", '"text"', "null", '{"half":'])
def test_an_answer_that_is_no_json_object(ironmq, broker, calls, status, text, monkeypatch):
    monkeypatch.setattr(ironmq_client.time, "sleep", lambda _: None)
    ironmq.fail("answer", status=status, text=text)

    for call in calls:
        said = told(lambda call=call: call(broker), BrokerError)
        assert f"with {status}: no JSON object but" in said
        assert 'Is it IronMQ? See "host"' in said
        assert len(said) < 500


@pytest.mark.parametrize("text", ['{"msg": "bad %s"}', "<%s>", "{}%s"])
def test_a_server_that_repeats_the_token_does_not_make_us_tell_it(ironmq, broker, text):
    for before in ("", "." * (ironmq_client._SHOWN - 5)):
        ironmq.fail("answer", status=400, text=text % (before + TOKEN))
        said = told(lambda: broker.enqueue("a"), BrokerError)
        assert TOKEN[:5] not in said
        ironmq.heal()


def test_ids_that_are_missing_are_told(ironmq, broker):
    broker.enqueue("a")
    ironmq.fail("answer", "post", status=201, text='{"ids": ["1"]}')

    assert "sent 2 packages and gave 1 ids" in told(lambda: broker.enqueue_many("ab"), BrokerError)


def test_nothing_secret_shows_in_a_repr(ironmq, make):
    broker = make()
    assert isinstance(broker, IronMQBroker)

    for thing in (broker, broker.connection, broker._settings, broker.info()):
        assert TOKEN not in repr(thing)
    assert TOKEN not in str(vars(broker.connection)["settings"])


def test_a_message_without_an_id_is_none_and_never_all_of_them(ironmq, broker):
    broker.enqueue_many("abc")

    assert not broker.delete("")
    assert broker.queue_size() == 3
