"""Which queue at Amazon a cluster's queue is, how it is made, and what becomes of it."""

import json
import time

import pytest

from django_q.brokers.sqs_settings import region_of
from django_q.exceptions import BrokerError, BrokerUnavailable, ConfigurationError

both = pytest.mark.parametrize("server", ["moto", "ministack"], indirect=True)


@pytest.fixture
def server(request):
    return request.getfixturevalue(request.param)


def payloads(leases):
    return [lease.payload for lease in leases]


def receipts(leases):
    return [lease.receipt for lease in leases]


def url_of(broker):
    return broker._queue._url


# Names and URLs.


@both
def test_a_queue_has_the_name_of_its_cluster(server, make_sqs):
    broker = make_sqs(server, "the-cluster")

    broker.enqueue("a")

    assert url_of(broker).endswith("/the-cluster")


@both
def test_a_queue_may_be_mapped_to_another_name(server, make_sqs):
    broker = make_sqs(server, "My mail!", queues={"My mail!": "mapped", "b": "c"})

    broker.enqueue("a")

    assert url_of(broker).endswith("/mapped")
    assert payloads(make_sqs(server, "mapped").lease(1, 1)) == ["a"]


@both
def test_a_queue_may_be_named_by_its_url(server, make_sqs):
    first = make_sqs(server, "by-url")
    first.enqueue("a")

    mapped = make_sqs(server, "mail", queues={"mail": url_of(first)})
    assert payloads(mapped.lease(1, 1)) == ["a"]
    assert mapped.ping()

    first.enqueue("b")
    assert payloads(make_sqs(server, url_of(first)).lease(1, 1)) == ["b"]


def test_the_region_of_a_url_is_asked(make_sqs, moto):
    url = "https://sqs.ap-south-1.amazonaws.com/123456789012/mail"

    assert region_of(url) == "ap-south-1"
    assert region_of(f"{moto.url}/1/mail") is None
    broker = make_sqs(moto, url, endpoint_url=None, aws_region=None)
    assert broker.info() == "Amazon SQS ap-south-1"


@pytest.mark.parametrize("name", ["my mail", "x" * 81, "a.b", "mail.fifo.fifo", "größe"])
def test_a_name_that_amazon_does_not_take_is_told_at_once(moto, make_sqs, name):
    with pytest.raises(ConfigurationError, match=r'no queue with the name .*"queues"'):
        make_sqs(moto, name)


# Making.


@both
def test_a_missing_queue_is_made_for_the_longest_time_there_is(server, make_sqs):
    broker = make_sqs(
        server, retry=90, attributes={"DelaySeconds": 0, "SqsManagedSseEnabled": True}
    )

    assert broker.lease(1) == []

    found = broker._queue.attributes("All")
    assert found["MessageRetentionPeriod"] == "1209600"
    assert found["VisibilityTimeout"] == "90"
    assert found["ReceiveMessageWaitTimeSeconds"] == "20"
    assert found["SqsManagedSseEnabled"] == "true"


@both
def test_a_missing_queue_is_told_where_none_may_be_made(server, make_sqs):
    broker = make_sqs(server, "none-here", create=False)

    for call in (lambda: broker.enqueue("a"), lambda: broker.lease(1)):
        with pytest.raises(BrokerError, match=r"no queue 'none-here' .*\"create\"\] is False"):
            call()
    assert broker.ping()


def test_a_missing_queue_with_a_url_is_not_made(moto, make_sqs):
    broker = make_sqs(moto, f"{moto.url}/123456789012/never-made")

    with pytest.raises(BrokerError, match="does not exist"):
        broker.enqueue("a")
    assert broker.ping()


@both
def test_looking_at_a_missing_queue_does_not_make_it(server, make_sqs):
    broker = make_sqs(server)

    assert (broker.queue_size(), broker.lock_size()) == (0, 0)
    broker.acknowledge("receipt")
    broker.release(["receipt"])
    assert broker.renew(["receipt"]) == []
    broker.purge_queue()
    broker.delete_queue()

    with pytest.raises(BrokerError, match="no queue"):
        make_sqs(server, broker.list_key, create=False).lease(1)


@both
def test_a_queue_that_was_deleted_meanwhile_is_made_again(server, make_sqs):
    broker, other = make_sqs(server, "deleted"), make_sqs(server, "deleted")
    broker.enqueue("a")
    other.delete_queue()

    broker.enqueue("b")

    assert payloads(broker.lease(10, 1)) == ["b"]


def test_two_who_make_a_queue_with_other_attributes_share_it(relay, make_sqs):
    first, second = make_sqs(relay, "shared", retry=10), make_sqs(relay, "shared", retry=20)
    first.enqueue("a")
    relay.refuse("GetQueueUrl", "QueueDoesNotExist")

    assert payloads(second.lease(1, 1)) == ["a"]

    assert relay.counts["CreateQueue"] == 2


def test_a_queue_that_was_just_deleted_is_waited_for(amazon, make_sqs):
    amazon.refuse("GetQueueUrl", "QueueDoesNotExist")
    amazon.refuse("CreateQueue", "QueueDeletedRecently", message="wait 60 seconds")

    with pytest.raises(BrokerUnavailable, match="made again 60 s after it was deleted.*wait 60"):
        make_sqs(amazon).enqueue("a")


# Purging.


def test_a_second_purge_within_a_minute_is_told_when_there_is_something_left(moto, make_sqs):
    broker = make_sqs(moto, "purged")
    broker.enqueue("a")
    broker.purge_queue()
    broker.purge_queue()
    broker.enqueue("b")

    with pytest.raises(BrokerError, match="purged was purged less than 60 s ago"):
        broker.purge_queue()

    assert payloads(broker.lease(10, 1)) == ["b"]


# Dead letters.


@both
@pytest.mark.parametrize("suffix", ["", ".fifo"])
def test_what_was_lent_too_often_goes_to_the_dead_letters(server, make_sqs, suffix):
    name = f"lent-{time.monotonic_ns()}{suffix}"
    dead = f"dead-{name}"
    broker = make_sqs(server, name, dead_letter_queue=dead, max_receive_count=2)
    broker.enqueue("a")

    for _ in range(2):
        broker.release(receipts(broker.lease(1, 1)))

    assert broker.lease(1) == []
    served = make_sqs(server, dead, dead_letter_queue=dead)
    assert payloads(served.lease(1, 2)) == ["a"]


@both
def test_a_queue_that_exists_gets_the_policy_once(server, make_sqs):
    plain = make_sqs(server)
    plain.enqueue("a")
    assert not plain._queue.attributes("RedrivePolicy")

    broker = make_sqs(server, plain.list_key, dead_letter_queue="dead-later", max_receive_count=5)
    assert payloads(broker.lease(1, 1)) == ["a"]

    policy = json.loads(broker._queue.attributes("RedrivePolicy")["RedrivePolicy"])
    assert policy["deadLetterTargetArn"].endswith(":dead-later")
    assert int(policy["maxReceiveCount"]) == 5


def test_a_policy_that_is_there_is_not_set_again(relay, make_sqs):
    options = {"dead_letter_queue": "dead-once", "max_receive_count": 5}
    make_sqs(relay, "policy-once", **options).enqueue("a")

    make_sqs(relay, "policy-once", **options).enqueue("b")
    make_sqs(relay, "policy-once", create=False, dead_letter_queue="other").enqueue("c")

    assert relay.counts["SetQueueAttributes"] == 0


def test_dead_letters_of_another_kind_are_told(moto, make_sqs):
    broker = make_sqs(moto, "kind.fifo", dead_letter_queue="dead-standard")

    with pytest.raises(BrokerError, match=r"kind.fifo cannot go to dead-standard"):
        broker.enqueue("a")


# FIFO.


@both
def test_a_fifo_queue_keeps_the_order_of_all_and_lends_to_one_at_a_time(server, make_sqs):
    name = f"order-{time.monotonic_ns()}.fifo"
    broker, other = make_sqs(server, name), make_sqs(server, name)
    tasks = [str(number) for number in range(25)]
    broker.enqueue_many(tasks)

    first = broker.lease(3, 1)
    assert payloads(first) == tasks[:3]
    assert other.lease(3) == []
    broker.release(receipts(first))

    came = []
    while leases := other.lease(10):
        came += payloads(leases)
        other.acknowledge_many(receipts(leases))
    assert came == tasks


@both
def test_a_group_each_lets_a_fifo_queue_lend_to_many(server, make_sqs):
    name = f"many-{time.monotonic_ns()}.fifo"
    options = {"message_group_id": None}
    broker, other = make_sqs(server, name, **options), make_sqs(server, name, **options)
    broker.enqueue_many("abc")

    assert sorted(payloads(broker.lease(1, 1) + other.lease(2, 1))) == ["a", "b", "c"]


@both
def test_the_same_text_is_kept_as_often_as_it_is_sent(server, make_sqs):
    broker = make_sqs(server, f"same-{time.monotonic_ns()}.fifo")

    broker.enqueue_many(["a", "a"])
    broker.enqueue("a")

    assert payloads(broker.lease(10, 1)) == ["a", "a", "a"]
