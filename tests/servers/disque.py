"""A Disque server for the tests, since there is none to be had: over real sockets, in memory.

    python -m tests.servers.disque --port 7711

It answers what Disque 1.0-rc1 answered in `disque-replies.txt`, keeps its rules of time (RETRY,
DELAY, TTL, WORKING), and refuses what it refuses. Several nodes know one another and copy jobs:

    python -m tests.servers.disque --port 7711 --bus 17711 --peer 17712
    python -m tests.servers.disque --port 7712 --bus 17712 --peer 17711

Where to look: `disque_protocol` (RESP), `disque_jobs` (jobs, queues, time), `disque_copies` and
`disque_node` (what nodes say to each other, over `disque_bus`), `disque_..._commands`.
"""

import argparse
import asyncio
import contextlib
import itertools
import secrets
import socket
import sys
import time
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any

from .base import Server, free_port
from .disque_bus import Bus
from .disque_node import Node
from .disque_node_commands import run
from .disque_protocol import ProtocolError, Refused, Status, encode, parse

#: Seconds between two looks at what is due.
_TICK = 0.01
#: Seconds a node is not heard of until it counts as away.
_NODE_TIMEOUT = 5.0
_NUMBERS = itertools.count(1)
_ROOT = str(Path(__file__).parents[2])


class Client(asyncio.Protocol):
    """One connection of a client: commands one after the other, also while one of them waits."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._buffer = bytearray()
        self._transport: asyncio.Transport
        self._waits: asyncio.Task[None] | None = None
        self._may = not node.password
        self._number = next(_NUMBERS)
        self.address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be listed from now on."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.address = "{}:{}".format(*transport.get_extra_info("peername")[:2])
        self._node.clients[self._number] = self

    def connection_lost(self, error: Exception | None) -> None:
        """Wait for nothing any more: nobody would get it."""
        del self._node.clients[self._number]
        if self._waits:
            self._waits.cancel()

    def close(self) -> None:
        """End the connection."""
        self._transport.close()

    def line(self) -> str:
        """Describe the connection in CLIENT LIST."""
        return (
            f"id={self._number} addr={self.address} fd={self._number} name= age=0 idle=0 "
            f"flags={'b' if self._waits else 'N'} qbuf=0 qbuf-free=32768 obl=0 oll=0 omem=0 "
            f"events=r cmd={'getjob' if self._waits else 'client'}\n"
        )

    def data_received(self, data: bytes) -> None:
        """Do what is asked for."""
        self._buffer += data
        self._go()

    def _go(self) -> None:
        replies, place = bytearray(), 0
        while not self._waits:
            try:
                found = parse(self._buffer, place)
            except ProtocolError as error:
                self._transport.write(bytes(replies) + encode(error))
                self.close()
                return
            if found is None:
                break
            words, place = found
            if words:
                replies += self._reply(words)
        del self._buffer[:place]
        if replies:
            self._transport.write(bytes(replies))

    def _reply(self, words: list[bytes]) -> bytes:
        """Give the reply, or nothing when it comes later."""
        self._node.jobs.tick()
        try:
            reply = self._auth(words) if not self._may or words[0].lower() == b"auth" else None
            if reply is None:
                reply = run(self._node, words)
        except Refused as error:
            return encode(error)
        if isinstance(reply, Awaitable):
            self._waits = asyncio.ensure_future(self._reply_later(reply))
            return b""
        return encode(reply)

    async def _reply_later(self, reply: Awaitable[Any]) -> None:
        try:
            encoded = encode(await reply)
        except Refused as error:
            encoded = encode(error)
        self._transport.write(encoded)
        self._waits = None
        self._go()

    def _auth(self, words: list[bytes]) -> Status:
        if words[0].lower() != b"auth":
            raise Refused("NOAUTH Authentication required.")
        if len(words) != 2:
            raise Refused("wrong number of arguments for 'auth' command")
        if not self._node.password:
            raise Refused("Client sent AUTH, but no password is set")
        self._may = secrets.compare_digest(words[1], self._node.password)
        if not self._may:
            raise Refused("invalid password")
        return Status("OK")


async def serve(node: Node) -> None:
    """Serve clients on the node's port until cancelled."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Client(node), "127.0.0.1", node.port)
    async with server:
        while True:
            await asyncio.sleep(_TICK)
            node.tick()


def main() -> None:
    """Run one node until it is killed."""
    parser = argparse.ArgumentParser(description="A Disque node for tests.")
    parser.add_argument("--port", type=int, default=7711, help="where clients connect")
    parser.add_argument("--requirepass", default="", help="what clients have to send with AUTH")
    parser.add_argument("--id", default=secrets.token_hex(20), help="40 hex digits")
    parser.add_argument("--bus", type=int, default=0, help="port where other nodes connect")
    parser.add_argument("--peer", type=int, action="append", default=[], help="another one's bus")
    parser.add_argument("--node-timeout", type=float, default=_NODE_TIMEOUT, help="in seconds")
    options = parser.parse_args()
    node = Node(options.id.encode(), options.port, _wall_clock, options.requirepass.encode())
    asyncio.run(_run(node, options))


def _wall_clock() -> int:
    return time.time_ns() // 1_000_000


async def _run(node: Node, options: argparse.Namespace) -> None:
    if options.bus:
        bus = node.bus = Bus(node, options.bus, options.peer, options.node_timeout)
        await bus.start()
    await serve(node)


# For the tests.


class DisqueNode(Server):
    """One node as a process of its own."""

    name = "disque"

    def __init__(self, *options: str) -> None:
        super().__init__(*options)
        self.id = secrets.token_hex(20)

    def command(self) -> list[str]:
        """Run `main` wherever the process is started."""
        code = f"import sys; sys.path.insert(0, {_ROOT!r}); from {__name__} import main; main()"
        return [sys.executable, "-c", code, "--port", str(self.port), "--id", self.id]

    def answers(self) -> bool:
        """PING in the inline form; a refusal for want of the password is an answer, too."""
        return self.ask("PING").startswith((b"+PONG", b"-NOAUTH"))

    @property
    def url(self) -> str:
        """For `Q_CLUSTER["disque_nodes"]`."""
        return f"127.0.0.1:{self.port}"

    def ask(self, line: str) -> bytes:
        """Send one inline command; gives the first of its reply as it is."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(line.encode() + b"\r\n")
            return connection.recv(2**16)

    def flush(self) -> None:
        """Forget every job."""
        assert self.ask("DEBUG FLUSHALL") == b"+OK\r\n"


@contextlib.contextmanager
def disque_cluster(count: int, *options: str) -> Iterator[list[DisqueNode]]:
    """Run so many nodes that know each other."""
    ports = [free_port() for _ in range(count)]
    nodes = []
    for port in ports:
        others = [word for other in ports if other != port for word in ("--peer", str(other))]
        nodes.append(DisqueNode("--bus", str(port), *others, *options))
    with contextlib.ExitStack() as stack:
        for node in nodes:
            node.start()
            stack.callback(node.stop)
        end = time.monotonic() + 10
        while not all(node.ask("HELLO").startswith(b"*%d\r\n" % (2 + count)) for node in nodes):
            assert time.monotonic() < end, "the nodes do not find each other"
            time.sleep(0.02)
        yield nodes


if __name__ == "__main__":
    main()
