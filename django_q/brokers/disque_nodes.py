"""The nodes of a Disque cluster: where they are, a client for each, and moving on when one dies.

Used by the Disque broker alone. Its errors are ours: BrokerUnavailable when nobody answers,
BrokerError when a node refuses.
"""

import dataclasses
import os
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from django_q.brokers.deadline import PING_LIMIT, call_within
from django_q.brokers.misread import MISREAD, not_understood
from django_q.conf import Conf
from django_q.exceptions import BrokerError, BrokerUnavailable, ConfigurationError

T = TypeVar("T")

#: Port of a node whose address names none; Disque's own default.
PORT = 7711
#: Seconds a connection may take to be made; a node in reach needs milliseconds.
CONNECT_LIMIT = 1.0
#: Seconds a reply may take. Two silent nodes are told as such within five.
REPLY_LIMIT = 2.4
#: Seconds after which no further node is tried, when none has answered.
PATIENCE = 4.0
#: Seconds a node that did not answer comes last.
REST = 5.0
#: Where the add-on of that name says which nodes there are, and their password.
NODES_VARIABLE, AUTH_VARIABLE = "TYND_DISQUE_NODES", "TYND_DISQUE_AUTH"
_PLACES = f"disque_nodes in Q_CLUSTER, or {NODES_VARIABLE} in the environment"

#: Code of a refusal -> what it means here.
_REFUSALS = {
    "NOREPL": "reaches too few other nodes for the copies wanted (disque_replicate in Q_CLUSTER)",
    "PAUSED": "takes nothing into this queue until PAUSE <queue> none is sent",
    "OOM": "is out of memory and takes no more packages; raise its maxmemory or let workers drain",
    "unknown": "does not know a command of Disque; is disque_nodes another server?",
}


@dataclasses.dataclass(frozen=True)
class Node:
    """One node, and a client of redis-py for it."""

    address: str
    client: Any

    def run(self, *words: Any) -> Any:
        """Run one command."""
        return self.client.execute_command(*words)

    def run_many(self, calls: Iterable[Sequence[Any]]) -> list[Any]:
        """Run commands in one go; their replies, errors of the server among them."""
        with self.client.pipeline(transaction=False) as pipeline:
            for words in calls:
                pipeline.execute_command(*words)
            return list(pipeline.execute(raise_on_error=False))


class Nodes:
    """The nodes of one cluster, in random order at first; the one that answers is kept.

    Threads may share it: each node has a pool of connections.
    """

    def __init__(
        self, addresses: Sequence[str], password: str | None = None, **options: Any
    ) -> None:
        """Take addresses as `host:port`; `options` are keywords of redis-py for every node."""
        self._password = password
        self._options = options
        nodes = [self._node(address) for address in dict.fromkeys(addresses)]
        self._nodes = secrets.SystemRandom().sample(nodes, len(nodes))
        #: Address -> until when (monotonic) the node comes last.
        self._resting: dict[str, float] = {}

    def _node(self, address: str, **limits: float) -> Node:
        host, port = _host_and_port(address)
        options: dict[str, Any] = {
            # Disque speaks nothing newer.
            "protocol": 2,
            "socket_connect_timeout": CONNECT_LIMIT,
            "socket_timeout": REPLY_LIMIT,
            "socket_keepalive": True,
            # redis-py would try a dead port for seconds; here is the next node to try.
            "retry": Retry(NoBackoff(), 0),
            "password": self._password,
        }
        client = redis.Redis(host=host, port=port, **options | self._options | limits)
        return Node(address, client)

    # -- asking ------------------------------------------------------------------------------

    def ask(
        self, work: Callable[[Node], T], enough: Callable[[T], object], start: str = ""
    ) -> list[T]:
        """Run `work` on one node after another until a result is enough; all results.

        Begins with the node at `start`, else with the one in use. Nodes that were away lately are
        asked only while nobody has answered. Raises BrokerUnavailable when nobody does.
        """
        results: list[T] = []
        troubles: list[BrokerUnavailable] = []
        end = time.monotonic() + PATIENCE
        for node in self._order(start):
            if self._rests(node) if results else troubles and time.monotonic() > end:
                break
            try:
                results.append(self._at(node, work))
            except BrokerUnavailable as error:
                troubles.append(error)
            else:
                if enough(results[-1]):
                    break
        if not results:
            raise BrokerUnavailable(
                f"No node of Disque answers ({_PLACES}): {'; '.join(map(str, troubles))}"
            ) from troubles[-1]
        return results

    def call(self, work: Callable[[Node], T], start: str = "") -> T:
        """Run `work` on the first node that answers."""
        return self.ask(work, lambda result: True, start)[-1]

    def each(self, work: Callable[[Node], T]) -> list[T]:
        """Run `work` on every node that answers."""
        return self.ask(work, lambda result: False)

    def execute_command(self, *words: Any, start: str = "") -> Any:
        """Run one command on the first node that answers, beginning at `start`."""
        return self.call(lambda node: node.run(*words), start)

    def ping(self) -> bool:
        """Tell whether a node answers, over new connections, since old ones may hang."""
        limit = PING_LIMIT / len(self._nodes) / 2
        limits = {"socket_connect_timeout": limit, "socket_timeout": limit}

        def work(node: Node) -> bool:
            fresh = self._node(node.address, **limits)
            try:
                return bool(fresh.client.ping())
            finally:
                fresh.client.close()

        return call_within(PING_LIMIT, lambda: self.call(work), self._late)

    def _late(self) -> str:
        addresses = ", ".join(node.address for node in self._nodes)
        return f"Disque did not answer within {PING_LIMIT} s: {addresses} ({_PLACES})."

    def close(self) -> None:
        """Close all connections; the next use makes new ones."""
        for node in self._nodes:
            node.client.close()

    # -- one node ----------------------------------------------------------------------------

    def _order(self, start: str) -> list[Node]:
        return sorted(self._nodes, key=lambda node: (self._rests(node), node.address != start))

    def _rests(self, node: Node) -> bool:
        return time.monotonic() < self._resting.get(node.address, 0.0)

    def _at(self, node: Node, work: Callable[[Node], T]) -> T:
        try:
            result = self._twice(node, work)
        except redis.AuthenticationError as error:
            raise BrokerError(
                f"Disque at {node.address} wants another password than disque_auth in Q_CLUSTER "
                f"(or {AUTH_VARIABLE} in the environment): {error}"
            ) from error
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise self._away(node, error) from error
        except redis.RedisError as error:
            if str(error).startswith("LEAVING"):
                raise self._away(node, error) from error
            raise _refused(node, error) from error
        except MISREAD as error:
            # It may have been the answer to another question: what follows would be so, too.
            node.client.close()
            raise not_understood(f"Disque at {node.address}", error) from error
        self._resting.pop(node.address, None)
        return result

    @staticmethod
    def _twice(node: Node, work: Callable[[Node], T]) -> T:
        """Run `work`, once more when the connection turns out broken: its node may be well.

        Not after a timeout: the node is silent, and a second wait would not make it speak.
        """
        try:
            return work(node)
        except redis.AuthenticationError:
            raise
        except redis.ConnectionError:
            return work(node)

    def _away(self, node: Node, error: Exception) -> BrokerUnavailable:
        self._resting[node.address] = time.monotonic() + REST
        # The next one is in use from now on, also when this one is back.
        self._nodes = [other for other in self._nodes if other is not node] + [node]
        return BrokerUnavailable(f"{node.address} ({error})")


def configured_nodes() -> Nodes:
    """Give the nodes that the settings name, or the environment where they leave it empty."""
    nodes, password = Conf.DISQUE_NODES, Conf.DISQUE_AUTH
    if not nodes:
        nodes = os.environ.get(NODES_VARIABLE, "")
        password = password or os.environ.get(AUTH_VARIABLE)
    addresses = nodes.split(",") if isinstance(nodes, str) else nodes
    addresses = [str(address).strip() for address in addresses]
    if not any(addresses):
        raise ConfigurationError(
            'Q_CLUSTER["disque_nodes"] names no node, and neither does the environment '
            f'({NODES_VARIABLE}). Write "disque_nodes": ["host:{PORT}"].'
        )
    return Nodes([address for address in addresses if address], password or None)


def _host_and_port(address: str) -> tuple[str, int]:
    """Take `host`, `host:port` or `[v6]:port` apart."""
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        host, port = address, str(PORT)
    host = host.strip("[]")
    is_number = port.isascii() and port.isdecimal() and 0 < int(port) < 65536
    if not is_number or not host or set(host) & set("@/ "):
        # Not quoted: what looks like a URL may have a password in it.
        raise ConfigurationError(
            'A node in Q_CLUSTER["disque_nodes"] (or in the environment) is not written as '
            f'"host:{PORT}". A password belongs into "disque_auth".'
        )
    return host, int(port)


def _refused(node: Node, error: Exception) -> BrokerError:
    # redis-py takes some codes off the text.
    is_full = isinstance(error, redis.exceptions.OutOfMemoryError)
    code = "OOM" if is_full else str(error).partition(" ")[0]
    return BrokerError(f"Disque at {node.address} {_REFUSALS.get(code, 'refuses')}: {error}")
