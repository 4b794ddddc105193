"""A small TCP proxy between clients and a server: slow, silent, or cut at will."""

import asyncio
import socket
import struct
import threading
from typing import Self

#: Bytes that are passed on at once.
_PIECE = 65536
#: Lets `close` send a reset instead of an orderly end (man 7 socket).
_AT_ONCE = struct.pack("ii", 1, 0)


class Proxy:
    """Listens on 127.0.0.1; carries everything to and from one port, in a thread of its own.

    Its methods may be called by any thread.
    """

    def __init__(self, target: int) -> None:
        #: Where clients connect to.
        self.port = 0
        #: Seconds that each answer of the server is late.
        self.latency = 0.0
        self._target = target
        self._is_silent = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._is_ready, self._is_over = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    def __enter__(self) -> Self:
        self._thread.start()
        self._is_ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._is_over.set)
        self._thread.join()
        self._loop.close()

    def reset(self) -> None:
        """Cut all connections, with a reset to both sides."""
        self._loop.call_soon_threadsafe(self._cut)

    def fall_silent(self) -> None:
        """Lose whatever is sent, while all connections stay open and new ones are accepted."""
        self._is_silent = True

    def speak(self) -> None:
        """End the silence. What was connected meanwhile is cut: its bytes are lost."""
        self._is_silent = False
        self.reset()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._is_ready.set()
        await self._is_over.wait()
        server.close()
        self._cut()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait(others, timeout=1) if others else None

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            answers, server = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            self._drop(writer)
            return
        self._writers.add(server)
        await asyncio.gather(self._carry(reader, server, late=False), self._carry(answers, writer))

    async def _carry(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, late: bool = True
    ) -> None:
        try:
            while piece := await source.read(_PIECE):
                if late and self.latency:
                    await asyncio.sleep(self.latency)
                if not self._is_silent:
                    sink.write(piece)
                    await sink.drain()
        except OSError:
            pass
        if not self._is_silent:
            sink.close()
            self._writers.discard(sink)

    def _cut(self) -> None:
        for writer in list(self._writers):
            self._drop(writer)

    def _drop(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        plug = writer.get_extra_info("socket")
        if plug is not None and plug.fileno() >= 0:
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        writer.transport.abort()
