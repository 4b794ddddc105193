"""What the Amazon SQS broker asks for, how often, and how long it waits."""

import copy
import time

import pytest

from django_q.brokers.aws_sqs import Sqs
from django_q.conf import Conf
from tests.servers import Relay

BATCHES = ["SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"]


def receipts(leases):
    return [lease.receipt for lease in leases]


def entries(relay, operation):
    """The entries of each request for a batch operation."""
    return [told["Entries"] for name, told in relay.requests if name == operation]


# Counted.


def test_a_thousand_tasks_cost_at_most_350_requests(ministack, make_sqs):
    with Relay(ministack.url) as relay:
        broker = make_sqs(relay)
        broker.enqueue_many(str(number) for number in range(1000))

        came = []
        while leases := broker.lease(10, 1.0):
            came += [lease.payload for lease in leases]
            broker.acknowledge_many(receipts(leases))

        assert sorted(came, key=int) == [str(number) for number in range(1000)]
        assert relay.total <= 350
        assert [relay.counts[name] for name in BATCHES] == [100, 100, 0]


def test_an_idle_lease_of_twenty_seconds_is_one_request(relay, make_sqs):
    broker = make_sqs(relay)
    broker.lease(1)
    relay.counts.clear()
    began = time.monotonic()

    assert broker.lease(10, broker.idle_wait) == []

    assert 19 < time.monotonic() - began < 22
    assert relay.counts == {"ReceiveMessage": 1}
    assert relay.requests[-1][1]["WaitTimeSeconds"] == 20


def test_ten_receipts_are_one_request_whatever_is_done_with_them(relay, make_sqs):
    broker = make_sqs(relay)
    broker.enqueue_many("abcdefghij")
    ten = receipts(broker.lease(10, 1))
    relay.counts.clear()

    assert broker.renew(ten) == ten
    broker.release(ten)
    broker.acknowledge_many(ten)

    assert relay.counts == {"ChangeMessageVisibilityBatch": 2, "DeleteMessageBatch": 1}


def test_eleven_receipts_are_two_requests_and_twins_are_one_entry(sqs_mail, amazon):
    done = [{"Id": str(place)} for place in range(10)]
    amazon.prepare("DeleteMessageBatch", {"Successful": done})
    amazon.prepare("DeleteMessageBatch", {"Successful": done[:1]})

    sqs_mail.acknowledge_many([*"abcdefghijk", "a", "k"])

    asked = [[entry["ReceiptHandle"] for entry in each] for each in entries(amazon, BATCHES[1])]
    assert asked == [list("abcdefghij"), ["k"]]


def test_every_ping_reaches_amazon(relay, make_sqs):
    broker = make_sqs(relay)

    assert broker.ping()
    assert broker.ping()

    assert relay.counts == {"GetQueueUrl": 2}


def test_the_name_costs_no_request(relay, make_sqs):
    assert make_sqs(relay).info() == f"Amazon SQS eu-west-1 ({relay.url})"

    assert relay.total == 0


def test_sizes_are_asked_for_anew_each_time(relay, make_sqs):
    broker = make_sqs(relay)

    broker.enqueue_many("abc")
    assert (broker.queue_size(), broker.lock_size()) == (3, 0)
    leases = broker.lease(2, 1)
    assert (broker.queue_size(), broker.lock_size()) == (1, 2)
    broker.acknowledge_many(receipts(leases))
    assert (broker.queue_size(), broker.lock_size()) == (1, 0)


def test_the_settings_and_bulk_are_left_as_they_are(moto, q_cluster):
    sqs = {**moto.settings, "receive_message_wait_time_seconds": 5}
    before = copy.deepcopy(sqs)
    q_cluster(sqs=sqs, bulk=50)
    broker = Sqs("left-alone")

    broker.enqueue_many("abc")
    broker.acknowledge_many(receipts(broker.dequeue()))
    broker.close()

    assert Conf.SQS == sqs == before
    assert Conf.BULK == 50


# Waiting.


def test_long_polls_are_on_and_end_when_something_comes(relay, make_sqs):
    broker, producer = make_sqs(relay, "long-polls"), make_sqs(relay, "long-polls")
    producer.enqueue("a")
    began = time.monotonic()

    (lease,) = broker.lease(1, 20)

    assert time.monotonic() - began < 5
    assert (lease.payload, lease.deliveries) == ("a", 1)
    assert relay.requests[-1][1]["WaitTimeSeconds"] == 20


@pytest.mark.parametrize(("setting", "wait", "asked"), [(20, 0.2, 1), (3, 20, 3), (20, 1.5, 2)])
def test_a_poll_waits_whole_seconds_as_far_as_the_setting_says(
    amazon, make_sqs, setting, wait, asked
):
    message = {"MessageId": "1", "ReceiptHandle": "r", "Body": "a"}
    amazon.prepare("ReceiveMessage", {"Messages": [message]})
    place = f"{amazon.url}/1/mail"
    broker = make_sqs(amazon, place, receive_message_wait_time_seconds=setting)

    assert broker.lease(1, wait) == [("r", "a")]

    assert broker.idle_wait == setting
    assert amazon.requests[-1][1]["WaitTimeSeconds"] == asked


def test_short_polls_are_a_second_apart(relay, make_sqs):
    broker = make_sqs(relay, receive_message_wait_time_seconds=0)
    broker.lease(1)
    relay.counts.clear()

    assert broker.idle_wait == 1
    assert broker.lease(1, 2) == []

    assert relay.counts["ReceiveMessage"] in (2, 3)
    assert relay.requests[-1][1]["WaitTimeSeconds"] == 0


def test_deliveries_are_those_that_amazon_counted(sqs_mail, amazon):
    attributes = {"ApproximateReceiveCount": "7"}
    message = {"MessageId": "1", "ReceiptHandle": "r", "Body": "a", "Attributes": attributes}
    amazon.prepare("ReceiveMessage", {"Messages": [message]})

    (lease,) = sqs_mail.lease(1)

    assert (lease.receipt, lease.payload, lease.id, lease.deliveries) == ("r", "a", "1", 7)
