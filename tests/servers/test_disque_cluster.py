"""Several Disque servers of the tests act as one: copies, acknowledgements, a node that dies."""

import contextlib
from collections.abc import Iterator

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.waiting import wait_until

from .disque import disque_cluster


@pytest.fixture
def pair() -> Iterator[list]:
    """Two nodes, and a client of each."""
    with disque_cluster(2, "--node-timeout", "1") as nodes, contextlib.ExitStack() as stack:
        for node in nodes:
            retry = Retry(NoBackoff(), 0)
            node.client = redis.Redis(port=node.port, protocol=2, retry=retry)
            stack.callback(node.client.close)
            node.call = node.client.execute_command
        yield nodes


def fetch(node, wait=0):
    how = ("TIMEOUT", wait) if wait else ("NOHANG",)
    jobs = node.call("GETJOB", *how, "COUNT", 10, "WITHCOUNTERS", "FROM", "q") or []
    return [job[1] for job in jobs]


def state(node, id):
    facts = node.call("SHOW", id)
    return facts and facts[5].decode()


def test_a_job_is_copied_and_queued_once(pair):
    one, other = pair

    id = one.call("ADDJOB", "q", "b", 2000)

    assert (state(one, id), state(other, id)) == ("queued", "active")
    assert [fetch(one), fetch(other, wait=500)] == [[id], []]


def test_more_copies_than_nodes_are_refused(pair):
    with pytest.raises(redis.ResponseError, match="NOREPL Not enough reachable nodes"):
        pair[0].call("ADDJOB", "q", "b", 2000, "REPLICATE", 3)


def test_a_job_that_is_delivered_once_is_not_copied(pair):
    with pytest.raises(redis.ResponseError, match="explicitly set  REPLICATE to 1"):
        pair[0].call("ADDJOB", "q", "b", 2000, "RETRY", 0)

    id = pair[0].call("ADDJOB", "q", "b", 2000, "RETRY", 0, "REPLICATE", 1)
    assert state(pair[1], id) is None


@pytest.mark.parametrize("command", ["ACKJOB", "FASTACK"])
@pytest.mark.parametrize("copies", [1, 2])
def test_an_acknowledgement_reaches_the_node_that_has_the_job(pair, command, copies):
    one, other = pair
    id = one.call("ADDJOB", "q", "b", 2000, "REPLICATE", copies)
    fetch(one)

    assert other.call(command, id) == copies - 1

    for node in pair:
        wait_until(lambda node=node: state(node, id) is None)


def test_deljob_deletes_here_only(pair):
    one, other = pair
    id = one.call("ADDJOB", "q", "b", 2000)

    assert one.call("DELJOB", id) == 1

    assert state(other, id) == "active"


def test_working_is_known_by_all_who_have_the_job(pair):
    one, other = pair
    id = one.call("ADDJOB", "q", "b", 2000, "RETRY", 2)
    fetch(one)

    for _ in range(6):
        one.call("WORKING", id)
        assert fetch(other, wait=500) == []


def test_a_node_without_the_job_cannot_postpone_it(pair):
    id = pair[0].call("ADDJOB", "q", "b", 2000, "REPLICATE", 1)

    with pytest.raises(redis.ResponseError, match="NOJOB"):
        pair[1].call("WORKING", id)


def test_a_job_that_waits_long_is_queued_on_one_node_all_the_time(pair):
    one, other = pair
    id = one.call("ADDJOB", "q", "b", 2000, "RETRY", 1)
    one.call("PAUSE", "q", "out")

    for _ in range(5):
        assert fetch(other, wait=500) == []

    assert one.call("QLEN", "q") + other.call("QLEN", "q") == 1
    assert state(one, id) == "queued"


def test_a_waiting_client_gets_jobs_of_another_node(pair):
    one, other = pair
    id = one.call("ADDJOB", "q", "b", 2000)

    assert fetch(other, wait=2000) == [id]
    other.call("ACKJOB", id)

    wait_until(lambda: (state(one, id), state(other, id)) == (None, None))


def test_a_job_of_a_dead_node_comes_from_the_other_one(pair):
    one, other = pair
    id = one.call("ADDJOB", "q", "b", 2000, "RETRY", 2)
    assert fetch(one) == [id]

    one.kill()

    assert fetch(other, wait=4000) == [id]


def test_a_node_that_was_frozen_learns_of_acknowledgements(pair):
    one, other = pair
    id = one.call("ADDJOB", "q", "b", 2000, "RETRY", 1)
    fetch(one)
    other.pause()

    one.call("ACKJOB", id)
    other.resume()

    wait_until(lambda: state(other, id) is None)
    assert fetch(other, wait=1500) == []


def test_copies_are_refused_when_nobody_is_left_to_take_them(pair):
    one, other = pair
    other.kill()

    with pytest.raises(redis.ResponseError, match="NOREPL Timeout reached"):
        one.call("ADDJOB", "q", "b", 200)
    wait_until(lambda: one.call("HELLO")[3][3] == b"100")
    with pytest.raises(redis.ResponseError, match="NOREPL Not enough"):
        one.call("ADDJOB", "q", "b", 200)

    assert one.call("ADDJOB", "q", "b", 200, "REPLICATE", 1)


def test_a_node_that_was_killed_comes_back_empty_and_is_known_again(pair):
    one, other = pair
    one.call("ADDJOB", "q", "b", 2000, "REPLICATE", 1)

    one.kill()
    one.restart()

    wait_until(lambda: one.ask("HELLO").startswith(b"*4"))
    assert one.call("QLEN", "q") == 0
    wait_until(lambda: other.call("HELLO")[3][3] == b"1")
    assert other.call("ADDJOB", "q", "b", 2000)
