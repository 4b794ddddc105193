"""The IronMQ broker on its queue, and on what fits into a request."""

import threading

import pytest

from django_q.brokers.ironmq import IronMQBroker
from django_q.exceptions import BrokerError, PayloadTooLarge
from tests.servers.ironmq_process import IronMQ
from tests.waiting import wait_until

#: What stands around the only message of a request.
FRAME = len('{"messages":[{"body": ""}]}')
SMALL, LARGE = 65_536, 262_144


def payloads(leases):
    return [lease.payload for lease in leases]


# The queue.


def test_a_queue_is_made_with_the_longest_life_for_messages(ironmq, broker, queue):
    broker.delete_queue()
    broker.enqueue("a")

    options = ironmq.ask("GET", f"/{queue}")[1]["queue"]
    assert (options["message_timeout"], options["message_expiration"]) == (60, 2_592_000)
    ironmq.advance(2_592_000 - 1)
    assert payloads(broker.lease(1)) == ["a"]


def test_the_options_of_a_queue_that_is_there_are_left_alone(ironmq, broker, queue):
    ironmq.ask("PATCH", f"/{queue}", {"queue": {"message_expiration": 1000}})

    broker.enqueue("a")

    assert ironmq.ask("GET", f"/{queue}")[1]["queue"]["message_expiration"] == 1000


def test_a_queue_that_is_missing_is_empty_and_made_by_who_waits(ironmq, broker, queue):
    broker.delete_queue()

    assert (broker.queue_size(), broker.lock_size(), broker.lease(1)) == (0, None, [])
    broker.delete_queue()
    broker.purge_queue()
    assert ironmq.ask("GET", f"/{queue}")[0] == 404
    thread = threading.Thread(target=broker.lease, args=(1, 30.0))
    thread.start()
    wait_until(lambda: ironmq.ask("GET", f"/{queue}")[0] == 200)
    wait_until(lambda: ironmq.counts()["reserve"] == 3)
    ironmq.advance(30)
    thread.join()


def test_the_size_counts_all_messages(broker):
    broker.enqueue_many("abc")
    broker.enqueue_many("d", delay=60)
    broker.lease(1)

    assert (broker.queue_size(), broker.lock_size()) == (4, None)


@pytest.mark.parametrize("name", ["with space", "a/b", "täst?x=1#y", "mail.v2"])
def test_any_name_of_a_queue_is_found_again(ironmq, q_cluster, name):
    q_cluster(iron_mq=ironmq.settings)
    broker = IronMQBroker(name)

    broker.enqueue("a")
    (lease,) = broker.lease(1)
    assert broker.renew([lease.receipt])
    broker.acknowledge(lease.receipt)

    assert broker.queue_size() == 0
    assert {"name": name} in ironmq.ask("GET", "?per_page=100")[1]["queues"]
    broker.delete_queue()
    broker.close()


def test_info_names_the_api_and_the_host(broker):
    assert broker.info() == "IronMQ v3 (127.0.0.1)"


# What fits into a request.


@pytest.fixture(scope="module")
def small_plan():
    server = IronMQ("--limit", str(SMALL)).start()
    yield server
    server.stop()


@pytest.mark.parametrize("limit", [SMALL, LARGE])
def test_a_package_may_be_as_large_as_the_limit_with_what_stands_around_it(ironmq, make, limit):
    broker = make(max_message_size=limit)
    tasks = ["x" * (limit - FRAME - 1), "y" * (limit - FRAME)]

    broker.enqueue_many(tasks)
    assert payloads(broker.lease(2)) == tasks
    ironmq.reset_counts()

    with pytest.raises(PayloadTooLarge, match=f"{limit + 1:,} bytes.*takes {limit:,}.*was sent"):
        broker.enqueue_many(["a", "z" * (limit - FRAME + 1)])
    assert ironmq.total() == 0
    assert broker.lease(1) == []


def test_characters_beyond_ascii_count_as_json_writes_them(make):
    broker = make(max_message_size=SMALL)
    most = (SMALL - FRAME) // len("\\u00fc")

    broker.enqueue("ü" * most)

    with pytest.raises(PayloadTooLarge):
        broker.enqueue("ü" * (most + 1))


def test_a_smaller_plan_refuses_with_a_word_about_the_setting(small_plan, q_cluster):
    q_cluster(iron_mq=small_plan.settings)
    broker = IronMQBroker("q")

    with pytest.raises(PayloadTooLarge, match='set "max_message_size".* to that'):
        broker.enqueue_many(["before", "x" * SMALL])

    # The packages before it fitted into a request of their own.
    assert payloads(broker.lease(10)) == ["before"]
    broker.delete_queue()


def test_a_request_of_many_fits_every_plan(small_plan, q_cluster):
    q_cluster(iron_mq=small_plan.settings)
    broker = IronMQBroker("q")
    small_plan.reset_counts()
    tasks = ["x" * size for size in (*[1000] * 100, *[30_000] * 5)]

    broker.enqueue_many(tasks)

    assert small_plan.counts()["post"] == 5
    assert payloads(broker.lease(100)) + payloads(broker.lease(100)) == tasks
    broker.delete_queue()


@pytest.mark.parametrize("text", ["\0", "a\0b", "\n", " ", "Grüße 世界 🚀", "\ufffd\ufeff\u2028"])
def test_any_text_is_kept(broker, text):
    broker.enqueue(text)

    assert payloads(broker.lease(1)) == [text]


@pytest.mark.parametrize("text", ["", "half \ud83d of a pair"])
def test_what_cannot_be_kept_is_refused_before_anything_is_sent(ironmq, broker, text):
    with pytest.raises(BrokerError, match="Nothing was sent"):
        broker.enqueue_many(["a", text])

    assert ironmq.total() == 0


@pytest.mark.parametrize(("delay", "seconds"), [(0.2, 1), (1, 1), (1.5, 2), (604_800, 604_800)])
def test_a_delay_is_in_whole_seconds(ironmq, broker, delay, seconds):
    broker.enqueue_many(["a"], delay=delay)

    ironmq.advance(seconds - 0.5)
    assert broker.lease(1) == []
    ironmq.advance(0.5)
    (lease,) = broker.lease(1)
    broker.release([lease.receipt], delay)
    ironmq.advance(seconds - 0.5)
    assert broker.lease(1) == []
    ironmq.advance(0.5)
    assert payloads(broker.lease(1)) == ["a"]


def test_a_delay_of_more_than_a_week_is_refused(ironmq, broker):
    with pytest.raises(BrokerError, match="604800 s at most"):
        broker.enqueue_many(["a"], delay=604_801)
    assert ironmq.total() == 0
