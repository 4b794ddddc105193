"""What the Amazon SQS broker says when nobody answers, somebody else does, or Amazon refuses."""

import socket
import time

import pytest

from django_q.brokers.aws_sqs import Sqs
from django_q.exceptions import BrokerError, BrokerUnavailable, ConfigurationError
from tests.servers import Moto
from tests.servers.base import free_port
from tests.servers.sqs import LOGIN

#: Seconds within which any error has to be told.
LIMIT = 5.0
#: Seconds of the contract for a ping.
PING_LIMIT = 2.0
#: Seconds for a busy machine; a second attempt would take longer.
AIR = 2.5
CALLS = {
    "enqueue": lambda broker: broker.enqueue("a"),
    "lease": lambda broker: broker.lease(1),
    "size": lambda broker: broker.queue_size(),
    "ping": lambda broker: broker.ping(),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


class Place:
    """Somewhere that is no server of SQS."""

    def __init__(self, url, **login):
        self.settings = {**LOGIN, "endpoint_url": url, **login}


@pytest.fixture
def silent():
    """A server that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=20) as listener:
        yield Place(f"http://127.0.0.1:{listener.getsockname()[1]}")


@pytest.fixture
def bare(monkeypatch):
    """A machine on which boto3 finds no configuration, and no role."""
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "PROFILE", "REGION", "DEFAULT_REGION"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def told(call, broker, kind=BrokerError, limit=LIMIT):
    """The text of the error that comes, soon."""
    began = time.monotonic()
    with pytest.raises(kind) as caught:
        call(broker)
    assert time.monotonic() - began < limit + AIR
    text = str(caught.value)
    assert LOGIN["aws_secret_access_key"] not in text
    assert LOGIN["aws_access_key_id"] not in text
    return text


# Nobody.


@every_call
def test_a_dead_port_is_named_with_its_settings(make_sqs, call):
    port = free_port()
    broker = make_sqs(Place(f"http://127.0.0.1:{port}"))

    text = told(call, broker, BrokerUnavailable, 2.5)

    assert f"http://127.0.0.1:{port}" in text
    assert '"endpoint_url"' in text


@every_call
def test_a_server_that_never_answers_is_told_in_time(make_sqs, silent, call):
    broker = make_sqs(silent)
    limit = PING_LIMIT if call is CALLS["ping"] else LIMIT

    text = told(call, broker, BrokerUnavailable, limit)

    assert silent.settings["endpoint_url"] in text


def test_a_lease_waits_for_its_answer_a_little_longer_than_for_messages(make_sqs, silent):
    place = f"{silent.settings['endpoint_url']}/1/mail"
    broker = make_sqs(silent, place)
    began = time.monotonic()

    # Wait and read limit are five seconds together; the rest is air for a busy machine.
    told(lambda broker: broker.lease(1, 1.0), broker, BrokerUnavailable, 3 + LIMIT)

    assert time.monotonic() - began > 4


@every_call
def test_an_unknown_region_is_told(make_sqs, call):
    broker = make_sqs(Place(None, aws_region="eu-nowhere-1"))

    text = told(call, broker, BrokerUnavailable)

    assert "eu-nowhere-1" in text


def test_a_server_that_comes_back_is_found_again(make_sqs):
    server = Moto().start()
    try:
        broker = make_sqs(server)
        broker.enqueue("a")

        server.kill()
        told(CALLS["enqueue"], broker, BrokerUnavailable)
        server.restart()

        broker.enqueue("b")
        assert [lease.payload for lease in broker.lease(2, 1)] == ["b"]
    finally:
        server.stop()


# Somebody else.


@every_call
def test_an_answer_that_is_not_json_is_told(make_sqs, amazon, call):
    amazon.prepare("*", "<html>Welcome</html>", 200)

    text = told(call, make_sqs(amazon))

    assert "answers 200 without JSON ('<html>Welcome</html>')" in text
    assert '"endpoint_url"' in text


@pytest.mark.parametrize("status", [200, 403, 404])
@pytest.mark.parametrize("body", ['["a"]', '"OK"', "OK", "{"])
def test_no_answer_is_taken_for_what_it_is_not(make_sqs, amazon, status, body):
    amazon.prepare("*", body, status)

    assert body in told(CALLS["lease"], make_sqs(amazon, f"{amazon.url}/1/mail"))


def test_an_answer_that_is_not_json_may_pass_by(make_sqs, amazon):
    amazon.prepare("GetQueueUrl", "<html>Bad gateway</html>", 502)
    amazon.prepare("GetQueueUrl", "<html>Unavailable</html>", 503)
    amazon.prepare("GetQueueUrl", {"QueueUrl": f"{amazon.url}/1/mail"})
    amazon.prepare("ReceiveMessage", {})

    assert make_sqs(amazon).lease(1) == []


def test_a_gateway_without_a_server_behind_it_is_told(make_sqs, amazon):
    amazon.prepare("*", "<html>Bad gateway</html>", 502)

    text = told(CALLS["enqueue"], make_sqs(amazon), BrokerUnavailable)

    assert "Bad gateway" in text


def test_an_answer_that_says_nothing_about_what_was_sent_is_told(make_sqs, amazon):
    amazon.prepare("GetQueueAttributes", {})
    amazon.prepare("SendMessageBatch", {})

    text = told(CALLS["enqueue"], make_sqs(amazon, f"{amazon.url}/1/mail"))

    assert "not done 1 of 1" in text


# Amazon refuses.


@every_call
def test_wrong_credentials_are_told_with_their_settings(make_sqs, amazon, call):
    amazon.refuse("*", "InvalidClientTokenId", 403, "for the-secret-key")

    text = told(call, make_sqs(amazon))

    assert "InvalidClientTokenId: for ***" in text
    assert '"aws_secret_access_key"' in text


@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "ExpiredToken", "InvalidSecurity"])
def test_credentials_may_be_wrong_in_many_ways(make_sqs, amazon, code):
    body = {"__type": f"com.amazon.coral.service#{code}", "message": "no"}
    amazon.prepare("*", body, 403)

    assert '"profile_name"' in told(CALLS["enqueue"], make_sqs(amazon))


def test_a_policy_that_does_not_permit_it_is_told(make_sqs, amazon):
    amazon.refuse("GetQueueUrl", "AccessDeniedException", message="not authorized")

    text = told(CALLS["lease"], make_sqs(amazon))

    assert "does not permit GetQueueUrl" in text


def test_too_many_leases_are_told(make_sqs, amazon):
    amazon.refuse("ReceiveMessage", "OverLimit", 403)

    text = told(CALLS["lease"], make_sqs(amazon, f"{amazon.url}/1/mail"))

    assert "too many messages are leased" in text


# Settings.


@every_call
def test_missing_credentials_are_told(make_sqs, moto, bare, call):
    broker = make_sqs(moto, aws_access_key_id=None, aws_secret_access_key=None)

    text = told(call, broker)

    assert '"aws_access_key_id"' in text
    assert '"profile_name"' in text


@every_call
def test_a_missing_region_is_told(make_sqs, bare, call):
    broker = make_sqs(Place(None, aws_region=None))

    assert '"aws_region"' in told(call, broker, ConfigurationError)


@pytest.mark.parametrize(
    ("sqs", "words"),
    [
        ({"profile_name": "nobody"}, "profile .nobody. could not be found"),
        ({"aws_region": "the moon"}, "the moon"),
        ({"endpoint_url": "localhost:4566"}, "localhost:4566"),
        ({"config": {"tiemout": 1}}, "tiemout"),
        ({"aws_regoin": "eu-west-1"}, r'"aws_regoin"\] is not known'),
        ({"create": "no"}, r'"create"\] is .no.: it must be True or False'),
        ({"queues": "mail"}, r'"queues"\] is .mail.: it must be a dict'),
        ({"max_receive_count": 0}, "max_receive_count.* from 1 to 1000"),
        ({"message_group_id": 3}, "message_group_id.*a string or None"),
    ],
)
def test_a_wrong_setting_is_told(q_cluster, bare, sqs, words):
    q_cluster(sqs={**LOGIN, **sqs})

    with pytest.raises(ConfigurationError, match=words):
        Sqs("mail").ping()


def test_the_settings_do_not_show_their_secrets(moto, make_sqs):
    assert "the-secret-key" not in repr(make_sqs(moto)._settings)


def test_a_login_in_the_endpoint_is_refused_and_not_shown(q_cluster):
    q_cluster(sqs={**LOGIN, "endpoint_url": "http://me:password@127.0.0.1"})

    with pytest.raises(ConfigurationError, match=r'"endpoint_url"\] has a login') as caught:
        Sqs("mail")

    assert "password" not in str(caught.value)


def test_keywords_of_botocore_are_taken(make_sqs, silent):
    broker = make_sqs(silent, config={"read_timeout": 0.5})

    told(CALLS["enqueue"], broker, BrokerUnavailable, 1.5)
