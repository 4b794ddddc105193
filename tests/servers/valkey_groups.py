"""Several servers of the Redis protocol: watched by a sentinel, or as the nodes of a cluster."""

import contextlib
from collections.abc import Iterator
from typing import Any

import redis

from tests.waiting import wait_until

from .base import free_port
from .valkey import Valkey, program

#: Seconds in which servers find each other and agree; a loaded machine needs some.
AGREE_LIMIT = 60.0
#: Slots of Redis Cluster.
SLOTS = 16384
#: A replica is served at once: more of them could come within five seconds, but do not.
_AT_ONCE = ("--repl-diskless-sync-delay", "0")


class SentinelServer(Valkey):
    """A sentinel, alone, so that its word is enough. `port` of the primary that it watches."""

    name = "sentinel"

    def __init__(self, primary: int) -> None:
        super().__init__()
        self._primary = primary

    def prepare(self) -> None:
        """Write the file that a sentinel must have, and changes itself."""
        words = (
            f"sentinel monitor shop 127.0.0.1 {self._primary} 1",
            "sentinel down-after-milliseconds shop 1000",
            "sentinel failover-timeout shop 5000",
        )
        (self.directory / "sentinel.conf").write_text("\n".join(words) + "\n")

    def command(self) -> list[str]:
        """The server's own program, in its other role."""
        words = ["--port", str(self.port), "--bind", "127.0.0.1"]
        return [program(), str(self.directory / "sentinel.conf"), *words, "--sentinel"]

    def primary(self) -> int:
        """The port of the primary, as this sentinel sees it."""
        with redis.Redis(port=self.port, decode_responses=True) as client:
            address = client.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", "shop")
            return int(address[1])

    def fail_over(self) -> None:
        """Make the replica the primary, though the primary is well."""

        def begin() -> bool:
            try:
                return bool(client.execute_command("SENTINEL FAILOVER", "shop"))
            except redis.ResponseError:
                return False  # it has not heard from the replica yet

        with redis.Redis(port=self.port) as client:
            wait_until(begin, AGREE_LIMIT)


class ClusterNode(Valkey):
    """A node of Redis Cluster; `bus` is its second port."""

    def __init__(self) -> None:
        self.bus = free_port()
        super().__init__(
            *("--cluster-enabled", "yes", "--cluster-port", str(self.bus)),
            *("--cluster-node-timeout", "1500", "--cluster-replica-validity-factor", "0"),
            *_AT_ONCE,
        )

    def meet(self, other: "ClusterNode") -> None:
        """Learn of another node, and of all that it knows."""
        self.ask("CLUSTER MEET", "127.0.0.1", other.port, other.bus)

    def ask(self, *words: Any) -> Any:
        """Run one command."""
        with redis.Redis(port=self.port, decode_responses=True) as client:
            return client.execute_command(*words)


@contextlib.contextmanager
def watched_pair() -> Iterator[tuple[SentinelServer, Valkey, Valkey]]:
    """A sentinel that watches "shop", its primary and its replica."""
    with contextlib.ExitStack() as stack:
        primary = _started(stack, Valkey(*_AT_ONCE))
        replica = _started(stack, Valkey("--replicaof", "127.0.0.1", str(primary.port)))
        _wait_link(replica)
        # It looks for replicas when it begins, and then every ten seconds.
        sentinel = _started(stack, SentinelServer(primary.port))
        with redis.Redis(port=sentinel.port) as client:
            wait_until(lambda: len(client.sentinel_slaves("shop")) == 1, AGREE_LIMIT)
        yield sentinel, primary, replica


@contextlib.contextmanager
def cluster_of(primaries: int, replicas: int = 0) -> Iterator[list[ClusterNode]]:
    """The nodes of a Redis Cluster, the primaries first; replicas are those of the first ones."""
    with contextlib.ExitStack() as stack:
        nodes = [_started(stack, ClusterNode()) for _ in range(primaries + replicas)]
        edges = [n * SLOTS // primaries for n in range(primaries + 1)]
        for number, node in enumerate(nodes):
            # Else those who meet would first have to find out whose word counts.
            node.ask("CLUSTER SET-CONFIG-EPOCH", number + 1)
            if number < primaries:
                node.ask("CLUSTER ADDSLOTS", *range(edges[number], edges[number + 1]))
            if number:
                node.meet(nodes[0])
        for node in nodes:
            wait_until(lambda node=node: _known(node) == len(nodes), AGREE_LIMIT)
        for primary, replica in zip(nodes, nodes[primaries:], strict=False):
            replica.ask("CLUSTER REPLICATE", primary.ask("CLUSTER MYID"))
            _wait_link(replica)
        for node in nodes:
            wait_until(lambda node=node: _is_well(node), AGREE_LIMIT)
        yield nodes


def _started(stack: contextlib.ExitStack, server: Any) -> Any:
    stack.callback(server.stop)
    return server.start()


def _wait_link(replica: Valkey) -> None:
    with redis.Redis(port=replica.port) as client:
        wait_until(lambda: client.info("replication")["master_link_status"] == "up", AGREE_LIMIT)


def _known(node: ClusterNode) -> int:
    return int(node.ask("CLUSTER INFO")["cluster_known_nodes"])


def _is_well(node: ClusterNode) -> bool:
    return bool(node.ask("CLUSTER INFO")["cluster_state"] == "ok")
