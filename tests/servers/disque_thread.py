"""A Disque node in a thread of the test process, whose clock the test turns."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.waiting import wait_until

from .base import free_port
from .disque import serve
from .disque_node import Node


class ThreadedNode:
    """Serves from entering the context until its end; time passes only by `advance`."""

    def __init__(self, password: str = "") -> None:
        self._now = 1_795_420_050_500
        self.port = free_port()
        self.node = Node(b"c69dd9ea" + b"0" * 32, self.port, lambda: self._now, password.encode())
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._client: redis.Redis | None = None

    def _run(self) -> None:
        self._task = self._loop.create_task(serve(self.node))
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            self._loop.run_until_complete(self._hang_up())

    async def _hang_up(self) -> None:
        """Close what was accepted while the server ended: nobody else knows of it."""
        accepting = asyncio.all_tasks() - {asyncio.current_task()}
        for task in accepting:
            task.cancel()
        await asyncio.gather(*accepting, return_exceptions=True)
        for transport in list(getattr(self._loop, "_transports", {}).values()):
            transport.abort()
        await asyncio.sleep(0)

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(self._listens)
        self._client = self.client()
        return self

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False

    def __exit__(self, *_: object) -> None:
        assert self._client is not None
        self._client.close()
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()
        self._loop.close()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += round(seconds * 1000)

    @contextlib.contextmanager
    def later(self, seconds: float, *words: Any) -> Iterator[None]:
        """Run a command after a while (of real time), by another connection."""
        client = self.client()
        timer = threading.Timer(seconds, lambda: client.execute_command(*words))
        timer.start()
        yield
        timer.join()
        client.close()

    def client(self) -> redis.Redis:
        """Make one more connection."""
        retry = Retry(NoBackoff(), 0)
        return redis.Redis(port=self.port, protocol=2, retry=retry, socket_timeout=5)

    def call(self, *words: Any) -> Any:
        """Run a command; an error comes as text, class first."""
        assert self._client is not None
        try:
            return self._client.execute_command(*words)
        except redis.RedisError as error:
            return f"!! {type(error).__name__}: {error}"
