"""What Amazon SQS and IronMQ answer: HTTP, with JSON in it."""

import json
import random
import socket
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import urllib3
from botocore.awsrequest import AWSResponse
from django.conf import settings as django_settings

from django_q.brokers import ironmq_client, sqs_queue, sqs_server
from django_q.brokers.aws_sqs import Sqs
from django_q.brokers.ironmq import IronMQBroker
from django_q.brokers.ironmq_client import IronClient
from django_q.conf import Conf
from tests.fuzz.mutations import changed_value, odd_value
from tests.fuzz.replies import ask, calls_of
from tests.fuzz.target import Target

_QUEUE_URL = "http://localhost:9/1/mail"
_SQS_REPLIES: tuple[tuple[int, Any], ...] = (
    (200, {"Messages": [{"MessageId": "1", "ReceiptHandle": "r", "Body": "payload",
                         "Attributes": {"ApproximateReceiveCount": "2"}}]}),
    (200, {}),
    (200, {"Successful": [{"Id": "0", "MessageId": "x"}, {"Id": "1", "MessageId": "y"}]}),
    (200, {"Successful": [{"Id": "0"}], "Failed": [
        {"Id": "1", "SenderFault": True, "Code": "ReceiptHandleIsInvalid", "Message": "m"}]}),
    (200, {"Attributes": {"ApproximateNumberOfMessages": "3",
                          "ApproximateNumberOfMessagesNotVisible": "1"}}),
    (200, {"QueueUrl": _QUEUE_URL}),
    (400, {"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "no"}),
    (400, {"__type": "com.amazonaws.sqs#PurgeQueueInProgress", "message": "no"}),
    (503, {"__type": "ServiceUnavailable", "message": "no"}),
    (403, {"__type": "AccessDenied"}),
)  # fmt: skip
_IRON_REPLIES: tuple[tuple[int, Any], ...] = (
    (
        200,
        {"messages": [{"id": "1", "reservation_id": "r", "body": "payload", "reserved_count": 2}]},
    ),
    (200, {"messages": []}),
    (201, {"ids": ["1", "2"], "msg": "Messages put on queue."}),
    (200, {"reservation_id": "new", "msg": "Touched"}),
    (200, {"msg": "Deleted"}),
    (200, {"queue": {"size": 3, "name": "mail"}}),
    (404, {"msg": "Queue not found"}),
    (403, {"msg": "Reservation timed out"}),
    (401, {"msg": "You must be authorized"}),
    (503, {"msg": "Busy"}),
    (413, {"msg": "too large"}),
)


def _http_input(number: int, status: int, body: Any) -> bytes:
    text = json.dumps(body)
    return bytes([number]) + b"%d\n" % status + text.encode()


def _http_maker(replies: Sequence[tuple[int, Any]]) -> Callable[[random.Random], bytes]:
    def make(chance: random.Random) -> bytes:
        status, body = chance.choice(replies)
        if chance.random() < 0.2:
            status = chance.choice([200, 204, 301, 400, 404, 429, 500, 503, 999, 100])
        for _ in range(chance.choice([0, 1, 1, 2])):
            body = changed_value(chance, body)
        if chance.random() < 0.05:
            body = odd_value(chance)
        return _http_input(chance.randrange(240), status, body)

    return make


def _http_seeds(replies: Sequence[tuple[int, Any]]) -> list[bytes]:
    return [_http_input(number, *reply) for reply in replies for number in range(12)]


def _status_of(line: bytes) -> int:
    return int(line[:3]) if line.isdigit() and int(line[:3]) >= 100 else 200


_HTTP_TOKENS = (
    *(b"null", b"[]", b"{}", b'""', b"[[[", b"-1", b"1e999", b"NaN", b'"Messages"', b'"\\ud800"'),
    *(b"<html>", b"\xff", b"\r\n", b"\0", b"5\n", b"200\n", b"503\n", b'"Id":"9"', b'"Code":5'),
)


def _read_sqs(data: bytes) -> str:
    reader = _SqsReader.shared()
    return reader.read(data)


class _SqsReader:
    """One broker for all inputs, since a client of boto3 takes long to make."""

    _made: ClassVar["_SqsReader | None"] = None

    def __init__(self) -> None:
        sqs_server.PAUSES = sqs_queue.PAUSES = (1e-6, 1e-6)
        django_settings.Q_CLUSTER = {
            "sqs": {"aws_region": "x-y-1", "aws_access_key_id": "a", "aws_secret_access_key": "b",
                    "endpoint_url": "http://localhost:9", "receive_message_wait_time_seconds": 0}
        }  # fmt: skip
        Conf.reset()
        self._broker = Sqs("mail")
        client = self._broker._queue.server._client(0)
        client.meta.events.register("before-send.sqs", self._answer)
        self._calls = calls_of(["r1", "r2"], "1")[:12]

    @classmethod
    def shared(cls) -> "_SqsReader":
        """Make it once."""
        cls._made = cls._made or cls()
        return cls._made

    def _answer(self, request: Any, **_: Any) -> AWSResponse:
        answer = AWSResponse(request.url, self._status, {}, None)
        answer._content = self._body
        return answer

    def read(self, data: bytes) -> str:
        """Ask."""
        line, _, self._body = data[1:].partition(b"\n")
        self._status = _status_of(line)
        queue = self._broker._queue
        queue._url, queue._limit = _QUEUE_URL, 262_144
        number = data[0] if data else 0
        # What marks say is not the server's answer, and needs a database.
        self._broker._without_deleted = lambda leases: leases  # type: ignore[method-assign]
        return "nothing asked" if number % 12 == 6 else ask(self._broker, self._calls, number)


class _CannedHttp(urllib3.connection.HTTPConnection):
    said: ClassVar[bytes] = b""

    def _new_conn(self) -> Any:
        ours, self._theirs = socket.socketpair()
        self._theirs.sendall(_CannedHttp.said)
        self._theirs.shutdown(socket.SHUT_WR)
        return ours

    def close(self) -> None:
        super().close()
        if hasattr(self, "_theirs"):
            self._theirs.close()


class _CannedPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _CannedHttp


class _CannedIron(IronClient):
    def _make_pool(self) -> urllib3.HTTPConnectionPool:
        return _CannedPool("localhost", 9)


def _read_iron(data: bytes) -> str:
    """Answer in HTTP: what begins with a number is framed, all else goes out as it is."""
    ironmq_client.PAUSES = (1e-6,)
    line, is_framed, body = data[1:].partition(b"\n")
    _CannedHttp.said = data[1:]
    if is_framed and line.isdigit():
        head = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (_status_of(line), len(body))
        _CannedHttp.said = head + body
    django_settings.Q_CLUSTER = {"iron_mq": {"project_id": "p", "token": "t", "host": "h"}}
    Conf.reset()
    broker = IronMQBroker("mail")
    client = broker.__dict__["connection"] = _CannedIron(broker._settings)
    try:
        return ask(broker, _IRON_CALLS, data[0] if data else 0)
    finally:
        client.close()


_IRON_CALLS = calls_of(["1:r", "2:s"], "1")[:12]
_IRON_SEEDS = _http_seeds(_IRON_REPLIES) + [
    b"\0HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"\0HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
]
SQS = Target(
    "SQS replies", 2, _http_seeds(_SQS_REPLIES), _read_sqs, _HTTP_TOKENS, _http_maker(_SQS_REPLIES)
)
IRON = Target(
    "IronMQ replies", 3, _IRON_SEEDS, _read_iron, _HTTP_TOKENS, _http_maker(_IRON_REPLIES)
)
