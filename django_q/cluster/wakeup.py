"""Wakes the supervisor's loop at once for a signal or a death. Standard library only."""

import contextlib
import multiprocessing.connection
import os
import signal
import types
from collections.abc import Callable, Sequence
from typing import Any, Self


class Wakeup:
    """Handles the signals of a process while it is entered.

    Handlers do next to nothing, since they may interrupt any line; the byte that Python writes
    for each signal ends the wait.
    """

    def __init__(self, on_stop: Callable[[], None]) -> None:
        self._on_stop = on_stop
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._reader, self._writer = os.pipe()
        for end in (self._reader, self._writer):
            os.set_blocking(end, False)
        self._fd_before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *error: object) -> None:
        signal.set_wakeup_fd(self._fd_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._reader)
        os.close(self._writer)

    def _on_signal(self, number: int, frame: types.FrameType | None) -> None:
        if number != signal.SIGCHLD:
            self._on_stop()

    def wait(self, pause: float, sentinels: Sequence[int]) -> None:
        """Sleep for `pause` seconds, or until a signal comes or one of the children ends."""
        multiprocessing.connection.wait([self._reader, *sentinels], pause)
        with contextlib.suppress(BlockingIOError):
            while os.read(self._reader, 512):
                pass
