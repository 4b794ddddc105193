"""What Amazon SQS takes, and what is told before anything is sent."""

import pytest

from django_q.brokers.sqs_batches import BATCH_SIZE, LARGEST, split
from django_q.exceptions import BrokerError, ConfigurationError, PayloadTooLarge


@pytest.fixture
def server(request):
    return request.getfixturevalue(request.param)


both = pytest.mark.parametrize("server", ["moto", "ministack"], indirect=True)


def payloads(leases):
    return [lease.payload for lease in leases]


def sent(relay):
    """The bodies of each request that sent something."""
    requests = [told for name, told in relay.requests if name == "SendMessageBatch"]
    return [[entry["MessageBody"] for entry in told["Entries"]] for told in requests]


# Sizes.


@both
@pytest.mark.parametrize("size", [LARGEST - 1, LARGEST])
def test_a_package_up_to_the_limit_comes_out_whole(server, make_sqs, size):
    broker = make_sqs(server)

    broker.enqueue("x" * size)

    assert payloads(broker.lease(1, 2)) == ["x" * size]


@both
def test_a_package_over_the_limit_is_told_with_both_sizes(server, make_sqs):
    broker = make_sqs(server, "too-large")

    with pytest.raises(PayloadTooLarge, match=r"1,048,577 bytes.* too-large .*takes 1,048,576"):
        broker.enqueue("x" * (LARGEST + 1))

    assert broker.lease(1) == []


def test_nothing_is_sent_when_one_of_many_is_too_large(relay, make_sqs):
    broker = make_sqs(relay)

    with pytest.raises(PayloadTooLarge, match="Nothing was sent"):
        broker.enqueue_many(["a"] * 25 + ["x" * (LARGEST + 1)])

    assert sent(relay) == []


def test_the_limit_is_the_one_of_the_queue(relay, make_sqs):
    broker = make_sqs(relay, attributes={"MaximumMessageSize": 262_144})
    broker.enqueue("x" * 262_144)

    with pytest.raises(PayloadTooLarge, match=r"takes 262,144 .*may be raised to 1,048,576"):
        broker.enqueue("x" * 262_145)

    assert relay.counts["SendMessageBatch"] == 1


def test_a_limit_that_was_raised_is_noticed(moto, make_sqs):
    broker = make_sqs(moto, attributes={"MaximumMessageSize": 2000})
    broker.enqueue("x" * 2000)

    broker._queue.call("set_queue_attributes", Attributes={"MaximumMessageSize": "3000"})

    broker.enqueue("x" * 3000)
    with pytest.raises(PayloadTooLarge, match="takes 3,000"):
        broker.enqueue("x" * 3001)


@both
def test_a_limit_that_was_lowered_is_told_by_the_server(server, make_sqs):
    broker = make_sqs(server)
    broker.enqueue("a")

    broker._queue.call("set_queue_attributes", Attributes={"MaximumMessageSize": "2000"})

    with pytest.raises(PayloadTooLarge, match="2000 bytes"):
        broker.enqueue("x" * 2001)


def test_bytes_are_counted_and_not_characters(moto, make_sqs):
    broker = make_sqs(moto, attributes={"MaximumMessageSize": 3000})

    broker.enqueue("世" * 1000)

    with pytest.raises(PayloadTooLarge, match="3,001 bytes"):
        broker.enqueue("世" * 1000 + "a")


# Batches.


def test_eleven_packages_are_two_requests(relay, make_sqs):
    broker = make_sqs(relay)

    ids = broker.enqueue_many("abcdefghijk")

    assert [len(batch) for batch in sent(relay)] == [10, 1]
    assert len(set(ids)) == 11
    assert {lease.id for _ in range(2) for lease in broker.lease(10, 2)} == set(ids)


def test_large_packages_share_a_request_up_to_its_total_size(relay, make_sqs):
    broker = make_sqs(relay)
    half = "x" * (LARGEST // 2)

    broker.enqueue_many([half, half, "a", half, "b"])

    assert sent(relay) == [[half, half], ["a", half, "b"]]


def test_the_total_of_an_old_queue_is_256_kib(relay, make_sqs):
    broker = make_sqs(relay, attributes={"MaximumMessageSize": 262_144})
    half = "x" * (BATCH_SIZE // 2)

    broker.enqueue_many([half, half, "a", half, "b"])

    assert sent(relay) == [[half, half], ["a", half, "b"]]


def test_a_queue_of_small_messages_still_takes_ten_at_once():
    assert [len(batch) for batch in split(["x" * 1024] * 20, 1024)] == [10, 10]


def test_a_batch_is_counted_in_bytes():
    third = "世" * (BATCH_SIZE // 9)

    assert [len(batch) for batch in split([third] * 4, 1024)] == [3, 1]


@both
def test_no_more_than_ten_are_lent_at_once(server, make_sqs):
    broker = make_sqs(server)
    broker.enqueue_many("abcdefghijkl")

    assert len(broker.lease(50, 1)) == 10
    assert broker.max_lease == 10


# Characters.


@both
def test_text_of_all_kinds_comes_out_as_it_went_in(server, make_sqs):
    broker = make_sqs(server)
    text = "\t\n\r ~\x7f\x85 Grüße 世界 🚀 \ud7ff\ue000\ufffd\U0010ffff <&>'\""

    broker.enqueue(text)

    assert payloads(broker.lease(1, 2)) == [text]


@pytest.mark.parametrize("character", ["\0", "\x0b", "\x1f", "\ud800", "\ufffe", "\uffff"])
def test_a_character_that_xml_cannot_carry_is_told(relay, make_sqs, character):
    broker = make_sqs(relay)

    with pytest.raises(BrokerError, match=f"U\\+{ord(character):04X} at 3, .*Nothing was sent"):
        broker.enqueue_many(["good", f"abc{character}"])

    assert sent(relay) == []


def test_an_empty_package_is_told(relay, make_sqs):
    broker = make_sqs(relay)

    with pytest.raises(BrokerError, match="takes no empty package"):
        broker.enqueue_many(["good", ""])

    assert sent(relay) == []


# Times.


def test_a_package_is_held_back_for_900_seconds_at_most(relay, make_sqs):
    broker = make_sqs(relay)

    broker.enqueue_many(["a"], delay=899.5)
    with pytest.raises(BrokerError, match="delay of 901 s.* 900 s at most"):
        broker.enqueue_many(["b"], delay=901)

    assert relay.counts["SendMessageBatch"] == 1
    assert relay.requests[-1][1]["Entries"][0]["DelaySeconds"] == 900


def test_a_fifo_queue_holds_back_nothing_and_says_so(moto, make_sqs):
    broker = make_sqs(moto, "held-back.fifo")

    assert not broker.can_delay
    with pytest.raises(BrokerError, match=r"held-back.fifo is a FIFO queue"):
        broker.enqueue_many(["a"], delay=1)


@pytest.mark.parametrize(("retry", "seconds"), [(0.4, 1), (1.2, 2), (60, 60), (43_200, 43_200)])
def test_a_lease_lasts_at_least_as_long_as_retry(amazon, make_sqs, retry, seconds):
    broker = make_sqs(amazon, f"{amazon.url}/1/mail", retry=retry)
    amazon.prepare("ReceiveMessage", {})
    amazon.prepare("ChangeMessageVisibilityBatch", {"Successful": [{"Id": "0"}]})

    broker.lease(1)
    broker.renew(["receipt"])

    asked = dict(amazon.requests)
    assert asked["ReceiveMessage"]["VisibilityTimeout"] == seconds
    assert asked["ChangeMessageVisibilityBatch"]["Entries"][0]["VisibilityTimeout"] == seconds


def test_a_retry_beyond_twelve_hours_is_told_at_once(make_sqs, moto):
    with pytest.raises(ConfigurationError, match=r'"retry"\] is 43201.* 43200 s at most'):
        make_sqs(moto, retry=43_201)


def test_a_release_is_put_off_for_twelve_hours_at_most(amazon, make_sqs):
    broker = make_sqs(amazon, f"{amazon.url}/1/mail")
    amazon.prepare("ChangeMessageVisibilityBatch", {"Successful": [{"Id": "0"}]})

    broker.release(["receipt"], 100_000.5)

    asked = dict(amazon.requests)["ChangeMessageVisibilityBatch"]
    assert asked["Entries"][0]["VisibilityTimeout"] == 43_200


@pytest.mark.parametrize("wait", [-1, 21, 1.5, True, "20"])
def test_a_wait_that_amazon_does_not_know_is_told_at_once(make_sqs, moto, wait):
    with pytest.raises(ConfigurationError, match="receive_message_wait_time_seconds.* 0 to 20"):
        make_sqs(moto, receive_message_wait_time_seconds=wait)
