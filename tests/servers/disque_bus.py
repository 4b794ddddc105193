"""What carries messages between Disque nodes: a connection from each node to each other one.

A message is an array of texts: kind, id of the sender, fields. The first on a connection is MEET,
which says who is there, and PING follows every half second.
"""

import asyncio
import contextlib
from collections.abc import Sequence

from .disque_node import Node
from .disque_protocol import encode, parse

#: Seconds between two tries to connect, and between two PINGs.
_RETRY, _PING = 0.1, 0.5


class Bus:
    """The links of one node to the others, whose bus ports on this machine are given."""

    def __init__(self, node: Node, port: int, others: Sequence[int], timeout: float) -> None:
        self._node, self._port, self._others, self._timeout = node, port, others, timeout
        self._writers: dict[int, asyncio.StreamWriter] = {}
        #: Node id -> its bus port, its port for clients, when it was heard of.
        self._known: dict[bytes, tuple[int, int, float]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Listen, and connect to the others as they come."""
        await asyncio.start_server(self._listen, "127.0.0.1", self._port, limit=2**20)
        self._tasks = [asyncio.create_task(self._link(port)) for port in self._others]

    # -- what the node asks for ------------------------------------------------------------------

    def peers(self) -> list[bytes]:
        """The ids of all nodes that were met, alive or dead."""
        return list(self._known)

    def reachable(self) -> list[bytes]:
        """The ids of those that were heard of lately."""
        oldest = asyncio.get_running_loop().time() - self._timeout
        return [id for id, (_, _, heard) in self._known.items() if heard > oldest]

    def port_of(self, id: bytes) -> int:
        """The port where a node serves clients."""
        return self._known[id][1]

    def send(self, peer: bytes, *words: bytes) -> None:
        """Send a message, if there is a connection."""
        if writer := self._writers.get(self._known[peer][0] if peer in self._known else 0):
            writer.write(encode([words[0], self._node.id, *words[1:]]))

    # -- connections -----------------------------------------------------------------------------

    async def _link(self, port: int) -> None:
        """Keep a connection to one other node."""
        hello = encode([b"MEET", self._node.id, b"%d" % self._port, b"%d" % self._node.port])
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                self._writers[port] = writer
                writer.write(hello)
                while not writer.is_closing():
                    writer.write(encode([b"PING", self._node.id]))
                    await writer.drain()
                    await asyncio.sleep(_PING)
            self._writers.pop(port, None)
            await asyncio.sleep(_RETRY)

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hear one other node out."""
        buffer = bytearray()
        with contextlib.suppress(OSError):
            while data := await reader.read(2**16):
                buffer += data
                place = 0
                while found := parse(buffer, place):
                    words, place = found
                    self._hear(*words)
                del buffer[:place]
        writer.close()

    def _hear(self, kind: bytes, sender: bytes, *fields: bytes) -> None:
        now = asyncio.get_running_loop().time()
        if kind == b"MEET":
            port, client_port = map(int, fields)
            self._known = {id: known for id, known in self._known.items() if known[0] != port}
            self._known[sender] = (port, client_port, now)
        elif sender in self._known:
            self._known[sender] = (*self._known[sender][:2], now)
            if kind != b"PING":
                self._node.receive(kind, sender, list(fields))
