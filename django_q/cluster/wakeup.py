"""Wakes the supervisor's loop at once for a signal or a death. Standard library only."""

import contextlib
import multiprocessing.connection
import signal
import socket
import types
from collections.abc import Callable, Sequence
from typing import Any, Self

#: The signal that a child has ended, where there is one: its sentinel tells as well.
_OF_CHILDREN = tuple(getattr(signal, name) for name in ("SIGCHLD",) if hasattr(signal, name))


class Wakeup:
    """Handles the signals of a process while it is entered.

    Handlers do next to nothing, since they may interrupt any line; the byte that Python writes
    for each signal ends the wait.
    """

    def __init__(self, on_stop: Callable[[], None]) -> None:
        self._on_stop = on_stop
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # Sockets rather than a pipe: on Windows, too, they can be waited for.
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.setblocking(False)
        descriptor = self._writer.fileno()
        self._fd_before = signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, *_OF_CHILDREN):
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *error: object) -> None:
        signal.set_wakeup_fd(self._fd_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._reader.close()
        self._writer.close()

    def _on_signal(self, number: int, frame: types.FrameType | None) -> None:
        if number not in _OF_CHILDREN:
            self._on_stop()

    def wait(self, pause: float, sentinels: Sequence[int]) -> None:
        """Sleep for `pause` seconds, or until a signal comes or one of the children ends."""
        multiprocessing.connection.wait([self._reader, *sentinels], pause)
        with contextlib.suppress(BlockingIOError):
            while self._reader.recv(512):
                pass
