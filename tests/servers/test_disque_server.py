"""The Disque server of the tests keeps the rules of the real one: of time, and of waiting."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.waiting import wait_until

from .disque_thread import ThreadedNode


@pytest.fixture
def server() -> Iterator[ThreadedNode]:
    with ThreadedNode() as server:
        yield server


def add(server, *options):
    return server.call("ADDJOB", "q", "body", 0, *options)


def fetch(server, *options):
    """Give the ids of what can be fetched now."""
    reply = server.call("GETJOB", "NOHANG", "COUNT", 100, *options, "FROM", "q")
    return [job[1] for job in reply or []]


def field(server, id, name):
    facts = server.call("SHOW", id)
    return facts[facts.index(name) + 1]


# RETRY.


def test_a_job_comes_again_after_its_retry_time(server):
    id = add(server, "RETRY", 10)
    assert fetch(server) == [id]

    server.advance(9.7)
    assert fetch(server) == []

    server.advance(0.6)
    assert fetch(server) == [id]
    assert field(server, id, b"additional-deliveries") == 1


def test_the_retry_time_runs_since_a_job_was_queued_not_since_it_was_fetched(server):
    id = add(server, "RETRY", 10)
    server.advance(9)
    assert fetch(server) == [id]

    server.advance(1.3)

    assert fetch(server) == [id]


def test_working_begins_the_retry_time_anew(server):
    id = add(server, "RETRY", 10)
    server.advance(9)
    fetch(server)

    assert server.call("WORKING", id) == 10
    server.advance(9.7)
    assert fetch(server) == []

    server.advance(0.6)
    assert fetch(server) == [id]


def test_a_job_that_waits_is_not_counted_as_delivered(server):
    id = add(server, "RETRY", 10)

    server.advance(25)

    assert server.call("QLEN", "q") == 1
    assert field(server, id, b"additional-deliveries") == 0


def test_working_takes_a_job_out_of_its_queue(server):
    id = add(server)

    server.call("WORKING", id)

    assert fetch(server) == []
    assert field(server, id, b"state") == b"active"


def test_working_is_refused_once_half_of_the_ttl_is_over(server):
    id = add(server, "TTL", 100, "RETRY", 10)

    server.advance(49)
    assert server.call("WORKING", id) == 10

    server.advance(2)
    assert server.call("WORKING", id).startswith("!! ResponseError: TOOLATE Half of job TTL")


def test_a_job_without_retry_is_delivered_once(server):
    id = add(server, "RETRY", 0)
    assert fetch(server) == [id]

    server.advance(3600)

    assert fetch(server) == []
    assert server.call("NACK", id) == 0
    assert server.call("ENQUEUE", id) == 0
    assert server.call("ACKJOB", id) == 1


def test_nacks_and_other_requeueing_are_counted_apart(server):
    id = add(server)

    for command in ("NACK", "ENQUEUE", "NACK"):
        fetch(server)
        assert server.call(command, id) == 1

    assert field(server, id, b"nacks") == 2
    assert field(server, id, b"additional-deliveries") == 1


def test_what_is_put_back_stands_where_it_stood(server):
    ids = [add(server) for _ in range(4)]
    first, second = fetch(server, "COUNT", 2)

    server.call("NACK", second, first)

    assert fetch(server) == ids


# DELAY, TTL, PAUSE.


def test_a_delayed_job_waits_for_its_time(server):
    id = add(server, "DELAY", 5)

    server.advance(4.9)
    assert fetch(server) == []
    assert field(server, id, b"state") == b"active"

    server.advance(0.2)
    assert fetch(server) == [id]
    assert field(server, id, b"additional-deliveries") == 0


@pytest.mark.parametrize("is_fetched", [True, False])
def test_a_job_is_forgotten_after_its_ttl(server, is_fetched):
    id = add(server, "TTL", 20, "RETRY", 50)
    if is_fetched:
        fetch(server)

    server.advance(19)
    assert server.call("SHOW", id)

    server.advance(2)
    assert server.call("SHOW", id) is None
    assert server.call("QLEN", "q") == 0


def test_a_job_comes_again_later_if_nothing_may_go_in(server):
    id = add(server, "RETRY", 10)
    fetch(server)
    server.call("PAUSE", "q", "in")

    server.advance(11)
    assert fetch(server) == []

    server.call("PAUSE", "q", "none")
    assert fetch(server) == []
    server.advance(11)
    assert fetch(server) == [id]


# Clients that wait.


def waiting(server, replies, *options):
    client = server.client()
    words = ("GETJOB", "TIMEOUT", 5000, *options, "FROM", "q")

    def wait():
        replies.append(client.execute_command(*words))
        client.close()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def blocked(server):
    stat = server.call("QSTAT", "q") or [b"blocked", 0]
    return stat[stat.index(b"blocked") + 1]


def test_a_client_that_waited_gets_one_job_whatever_it_asked_for(server):
    replies = []
    thread = waiting(server, replies, "COUNT", 10)
    wait_until(lambda: blocked(server) == 1)
    server.call("PAUSE", "q", "out")
    ids = [add(server) for _ in range(3)]

    server.call("PAUSE", "q", "none")
    thread.join()

    assert [job[1] for job in replies[0]] == ids[:1]
    assert fetch(server) == ids[1:]


def test_a_client_that_left_gets_nothing(server):
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"GETJOB TIMEOUT 0 FROM q\r\n")
        wait_until(lambda: blocked(server) == 1)

    wait_until(lambda: blocked(server) == 0)
    id = add(server)
    assert fetch(server) == [id]


def test_who_waits_longest_is_served_first(server):
    first, second = [], []
    threads = [waiting(server, first)]
    wait_until(lambda: blocked(server) == 1)
    threads.append(waiting(server, second))
    wait_until(lambda: blocked(server) == 2)

    ids = [add(server), add(server)]
    for thread in threads:
        thread.join()

    assert [first[0][0][1], second[0][0][1]] == ids


def test_a_command_behind_a_waiting_one_waits_too(server):
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        began = time.monotonic()
        connection.sendall(b"GETJOB TIMEOUT 200 FROM q\r\nPING\r\n")
        reply = b""
        while not reply.endswith(b"+PONG\r\n"):
            reply += connection.recv(100)

        assert reply == b"*-1\r\n+PONG\r\n"
        assert time.monotonic() - began >= 0.2
