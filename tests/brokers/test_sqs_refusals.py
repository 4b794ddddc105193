"""What the Amazon SQS broker does when a request is refused, as a whole or in part."""

import time

import pytest

from django_q.exceptions import BrokerError, BrokerUnavailable

BATCHES = ["SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"]


@pytest.fixture
def broker(sqs_mail):
    return sqs_mail


def entries(amazon, operation):
    """The entries of each request for a batch operation."""
    return [told["Entries"] for name, told in amazon.requests if name == operation]


# Refused in part.


def test_what_was_throttled_in_a_batch_is_sent_again_alone(broker, amazon):
    amazon.prepare(
        "SendMessageBatch",
        {
            "Successful": [{"Id": "0", "MessageId": "A"}, {"Id": "3", "MessageId": "D"}],
            "Failed": [
                {"Id": "1", "SenderFault": True, "Code": "RequestThrottled"},
                {"Id": "2", "SenderFault": False, "Code": "InternalError"},
            ],
        },
    )
    again = [{"Id": "1", "MessageId": "B"}, {"Id": "2", "MessageId": "C"}]
    amazon.prepare("SendMessageBatch", {"Successful": again, "Failed": []})

    assert broker.enqueue_many("abcd") == ["A", "B", "C", "D"]

    first, second = entries(amazon, "SendMessageBatch")
    assert [entry["MessageBody"] for entry in first] == list("abcd")
    assert second == first[1:3]


def test_what_the_sender_did_wrong_in_a_batch_is_raised_at_once(broker, amazon):
    failed = {"Id": "1", "SenderFault": True, "Code": "InvalidMessageContents", "Message": "hm"}
    done = {"Id": "0", "MessageId": "A"}
    amazon.prepare("SendMessageBatch", {"Successful": [done], "Failed": [failed]})

    with pytest.raises(
        BrokerError, match="1 packages .*after 1 were done: InvalidMessageConte.*hm"
    ) as caught:
        broker.enqueue_many("ab")

    assert amazon.counts["SendMessageBatch"] == 1
    assert list(caught.value.taken) == [0]


def test_an_error_says_what_was_taken_before_it(broker, amazon):
    ten = [{"Id": str(number), "MessageId": "M"} for number in range(10)]
    amazon.prepare("SendMessageBatch", {"Successful": ten, "Failed": []})
    failed = {"Id": "0", "SenderFault": True, "Code": "InvalidMessageContents", "Message": "hm"}
    done = {"Id": "1", "MessageId": "M"}
    amazon.prepare("SendMessageBatch", {"Successful": [done], "Failed": [failed]})

    with pytest.raises(BrokerError) as caught:
        broker.enqueue_many("abcdefghijkl")

    assert list(caught.value.taken) == [*range(10), 11]


@pytest.mark.parametrize("operation", BATCHES)
def test_what_is_throttled_for_long_is_told_in_time(broker, amazon, operation):
    failed = {"Id": "0", "SenderFault": False, "Code": "RequestThrottled", "Message": "slowly"}
    for _ in range(5):
        amazon.prepare(operation, {"Failed": [failed]})
    calls = {
        "SendMessageBatch": lambda: broker.enqueue("a"),
        "DeleteMessageBatch": lambda: broker.acknowledge("r"),
        "ChangeMessageVisibilityBatch": lambda: broker.renew(["r"]),
    }
    began = time.monotonic()

    with pytest.raises(BrokerUnavailable, match="1 of 1 entries.* RequestThrottled: slowly"):
        calls[operation]()

    assert time.monotonic() - began < 5
    assert amazon.counts[operation] == 4


def test_an_entry_without_an_answer_is_told(broker, amazon):
    amazon.prepare("SendMessageBatch", {"Successful": [{"Id": "0", "MessageId": "A"}]})

    with pytest.raises(BrokerUnavailable, match="not done 1 of 2 entries .*: no answer"):
        broker.enqueue_many("ab")


def test_a_lost_receipt_is_no_error_and_not_renewed(broker, amazon):
    codes = ["ReceiptHandleIsInvalid", "AWS.SimpleQueueService.MessageNotInflight"]
    failed = [{"Id": str(n), "SenderFault": True, "Code": code} for n, code in enumerate(codes)]
    for operation in BATCHES[1:]:
        amazon.prepare(operation, {"Successful": [{"Id": "2"}], "Failed": failed})

    broker.acknowledge_many("abc")

    assert broker.renew(["a", "b", "c"]) == ["c"]


def test_an_acknowledgement_that_is_refused_is_told(broker, amazon):
    failed = {"Id": "0", "SenderFault": True, "Code": "SomethingNew", "Message": "hm"}
    amazon.prepare("DeleteMessageBatch", {"Failed": [failed]})

    with pytest.raises(BrokerError, match="SomethingNew: hm"):
        broker.acknowledge("a")


# Refused as a whole.


@pytest.mark.parametrize(("code", "status"), [("RequestThrottled", 403), ("Unavailable", 503)])
def test_a_request_that_came_too_early_is_sent_again(broker, amazon, code, status):
    amazon.refuse("SendMessageBatch", code, status)
    amazon.refuse("SendMessageBatch", code, status)
    amazon.prepare("SendMessageBatch", {"Successful": [{"Id": "0", "MessageId": "A"}]})

    assert broker.enqueue("a") == "A"


def test_a_request_that_may_have_been_done_is_not_sent_again(broker, amazon):
    amazon.refuse("SendMessageBatch", "InternalFailure", 500)

    with pytest.raises(BrokerUnavailable, match="refuses SendMessageBatch: InternalFailure"):
        broker.enqueue("a")

    assert amazon.counts["SendMessageBatch"] == 1


def test_a_fifo_queue_knows_what_is_sent_again(amazon, make_sqs):
    amazon.prepare("GetQueueUrl", {"QueueUrl": f"{amazon.url}/1/mail.fifo"})
    amazon.prepare("GetQueueAttributes", {"Attributes": {}})
    amazon.refuse("SendMessageBatch", "InternalFailure", 500)
    amazon.prepare("SendMessageBatch", {"Successful": [{"Id": "0", "MessageId": "A"}]})

    assert make_sqs(amazon, "mail.fifo").enqueue("a") == "A"

    first, second = entries(amazon, "SendMessageBatch")
    assert first == second
