"""What Redis and Disque answer: bytes of their protocol."""

import random
import socket
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from django_q.brokers.base import Broker
from django_q.brokers.disque import Disque
from django_q.brokers.disque_nodes import Node, Nodes
from django_q.brokers.redis_broker import Redis
from django_q.brokers.redis_list import RedisList
from tests.fuzz.mutations import changed_value
from tests.fuzz.replies import ask, calls_of
from tests.fuzz.target import Target

_RECEIPTS = [f"{'a' * 32}:holder.1", f"{'b' * 32}:holder.1"]
_JOB = "D-dcb833cf-8YL1NT17e9+wsA/09NqxscQI-05a1"
_JOBS = [f"{_JOB}@localhost:7711", f"{_JOB[:-1]}3@localhost:7711"]


class _Canned(redis.Connection):
    """A connection to a server that says what it was to say, and hangs up."""

    said: ClassVar[bytes] = b""

    def _connect(self) -> Any:
        ours, self._theirs = socket.socketpair()
        self._theirs.sendall(_Canned.said)
        self._theirs.shutdown(socket.SHUT_WR)
        return ours

    def can_read(self, *args: Any, **kwargs: Any) -> bool:
        # All is said before it was asked for, which is no reason not to ask.
        return False

    def disconnect(self, *args: Any, **kwargs: Any) -> None:
        super().disconnect(*args, **kwargs)
        if hasattr(self, "_theirs"):
            self._theirs.close()


def _client() -> redis.Redis:
    options: Any = {"protocol": 2, "retry": Retry(NoBackoff(), 0), "lib_name": None}
    pool = redis.ConnectionPool(_Canned, lib_version=None, socket_timeout=5, **options)
    return redis.Redis(connection_pool=pool)


def _resp(value: Any) -> bytes:
    """Write a reply: numbers, bytes, lists, None; text that begins with - is an error."""
    if value is None:
        return b"$-1\r\n"
    if isinstance(value, bool | int):
        return b":%d\r\n" % value
    if isinstance(value, (list, tuple)):
        return b"*%d\r\n" % len(value) + b"".join(map(_resp, value))
    data = value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
    if data.startswith((b"-", b"+")):
        return data.partition(b"\n")[0] + b"\r\n"
    return b"$%d\r\n%s\r\n" % (len(data), data)


_RESP_TOKENS = (
    *(b"\r\n", b"*-1\r\n", b"$-1\r\n", b":0\r\n", b"+OK\r\n", b"*0\r\n", b"*1\r\n", b"*3\r\n"),
    *(
        b"-NOSCRIPT no\r\n",
        b"-OOM x\r\n",
        b"-READONLY x\r\n",
        b"-MOVED 1 h:1\r\n",
        b"-ASK 1 h:1\r\n",
    ),
    *(
        b"-NOAUTH x\r\n",
        b"-LOADING x\r\n",
        b"-BUSY x\r\n",
        b"-NOJOB x\r\n",
        b"-LEAVING x\r\n",
        b"_\r\n",
    ),
    *(
        b"$3\r\nabc\r\n",
        b"*99999999\r\n",
        b"$99999999\r\n",
        b":1e5\r\n",
        b"%1\r\n",
        b"#t\r\n",
        b"*1\r\n" * 50,
    ),
)
_REDIS_REPLIES: tuple[list[Any], ...] = (
    [[0, "a" * 32, "payload", 1, "b" * 32, b"\xff", 2]],
    [[5_000_000]],
    [[-1]],
    [1],
    [[1, 2]],
    [[5, 2]],
    ["+OK"],
    ["# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone"],
    ["# Server\r\nvalkey_version:8.1\r\n"],
    [[b"django_q:default:cluster:1", b"other"], b"stat"],
    [["0", ["a" * 32, "5", "b" * 32, "6"]], ["1:holder.1", None]],
    ["-NOSCRIPT No matching script.", [0, "a" * 32, "payload", 1]],
    [b"one", b"two", None],
    [[b"a", b"b"]],
    ["-ERR anything"],
)
_DISQUE_REPLIES: tuple[list[Any], ...] = (
    [[["mail", _JOB, "payload", "nacks", 0, "additional-deliveries", 1]], 60],
    [_JOB, _JOB],
    [None],
    [60, 60],
    [60, "-NOJOB Job not known"],
    [["id", _JOB, "queue", "mail", "state", "active", "body", "x", "retry", 60], 1],
    [["id", _JOB, "state", "acked", "body", "x"], 1],
    [["0", [_JOB]], 1],
    [["17", []], ["0", []]],
    [3],
    ["# Server\r\ndisque_version:1.0-rc1\r\n"],
    ["-NOREPL Not enough reachable nodes", "-NOREPL x", "-NOREPL x"],
    ["-LEAVING this node"],
)


def _maker(replies: Sequence[list[Any]]) -> Callable[[random.Random], bytes]:
    def make(chance: random.Random) -> bytes:
        said = [*chance.choice(replies), *chance.choice(replies)]
        for _ in range(chance.choice([0, 1, 1, 2])):
            said = changed_value(chance, said)
            said = said if isinstance(said, list) else [said]
        return bytes([chance.randrange(240)]) + b"".join(map(_resp, said))[:60_000]

    return make


def _seeds_of(replies: Sequence[list[Any]]) -> list[bytes]:
    return [
        bytes([number]) + b"".join(map(_resp, said)) for said in replies for number in range(15)
    ]


def _redis_reader(kind: type[Broker], receipts: list[str], id: str) -> Callable[[bytes], str]:
    client = _client()
    nodes = Nodes(["localhost:7711"])
    nodes._nodes = [Node("localhost:7711", client)]
    calls = calls_of(receipts, id)

    def read(data: bytes) -> str:
        _Canned.said = data[1:]
        client.connection_pool.disconnect()
        broker = kind("mail")
        broker.__dict__["connection"] = nodes if kind is Disque else client
        try:
            return ask(broker, calls, data[0] if data else 0)
        finally:
            client.connection_pool.disconnect()

    return read


REDIS = Target(
    "Redis replies", 6, _seeds_of(_REDIS_REPLIES), _redis_reader(Redis, _RECEIPTS, "a" * 32),
    _RESP_TOKENS, _maker(_REDIS_REPLIES),
)  # fmt: skip
LIST = Target(
    "Redis list replies", 2, _seeds_of(_REDIS_REPLIES), _redis_reader(RedisList, [], "a"),
    _RESP_TOKENS, _maker(_REDIS_REPLIES),
)  # fmt: skip
DISQUE = Target(
    "Disque replies", 4, _seeds_of(_DISQUE_REPLIES), _redis_reader(Disque, _JOBS, _JOB),
    _RESP_TOKENS, _maker(_DISQUE_REPLIES),
)  # fmt: skip
