"""Tells the outside that a cluster makes progress: a file that is touched, and systemd.

Used by the supervisor, so standard library only. Nothing here depends on the broker: a cluster that
waits for its server is healthy.

systemd's protocol (sd_notify(3)): datagrams with lines such as READY=1 to the socket that is named
in NOTIFY_SOCKET.
"""

import contextlib
import os
import socket
from collections.abc import Iterable
from pathlib import Path

from django_q.cluster.offspring import Child
from django_q.cluster.scoreboard import Mark, Phase

#: Seconds between two signs of life; whoever looks allows for some that are missed.
PERIOD = 1.0
#: A part that has not beaten for so long makes no progress: calls to servers end within some ten
#: seconds, and nothing else takes long.
SILENCE = 30.0
#: While a task's own code runs, which may hold the interpreter, its worker is excused.
_USER_CODE = (Phase.OPENING, Phase.RUNNING, Phase.AFTER)


class Health:
    """Signs of life of one cluster. Raises nothing: a full disk is no reason to stop."""

    def __init__(self, path: str | None, address: str | None = None) -> None:
        self._path = Path(path) if path else None
        self._address = address or None
        self._next = 0.0

    def tell(self, children: Iterable[Child], now: float) -> None:
        """Give a sign of life, once a second, if every part makes progress."""
        if now < self._next or not (self._path or self._address):
            return
        self._next = now + PERIOD
        if not all(is_well(child, now) for child in children):
            return
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.touch()
        self._notify("WATCHDOG=1")

    def say_running(self) -> None:
        """Tell systemd that the cluster is up."""
        self._notify("READY=1")

    def say_stopping(self) -> None:
        """Tell systemd that the cluster is about to end."""
        self._notify("STOPPING=1")

    def end(self) -> None:
        """Take the file away: a cluster that has ended is not healthy."""
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _notify(self, text: str) -> None:
        if self._address is None:
            return
        # An address that begins with @ is abstract: its first byte is 0.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.setblocking(False)
            out.sendto(text.encode(), address)


def is_well(child: Child, now: float) -> bool:
    """Tell whether a child is booting, beats, or is at a task of the project's."""
    if not child.is_ready or now - child.slot.beat < SILENCE:
        return True
    return any(_excuses(mark, now) for mark in child.marks)


def _excuses(mark: Mark, now: float) -> bool:
    return mark.phase in _USER_CODE and (not mark.until or now < mark.until)


def notify_address() -> str | None:
    """Give the address of systemd's socket, and let no child use it."""
    return os.environ.pop("NOTIFY_SOCKET", None)
