"""The servers of a benchmark, and empty stores on them for each run."""

import contextlib
import re
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from tests.servers import MissingServer, Postgres, Valkey

#: How durable the stores are, the same for all peers.
_KEEPS = {
    "redis": "Redis keeps all in memory (no snapshots, no append-only file); rows of results in"
    " SQLite (WAL, synchronous normal)",
    "postgres": "PostgreSQL with fsync off",
    "sqlite": "SQLite (WAL, synchronous normal), but for the files that a peer makes itself",
}
#: As Django's guide on databases recommends: django-q2 would open a connection for each package.
_KEPT_OPEN = {"CONN_MAX_AGE": None}


class Ground:
    """What `broker` needs: a server that has been started, or nothing but files.

    Results go to SQLite in WAL mode, or to PostgreSQL where that is the broker. PostgreSQL runs
    without fsync, for all peers.
    """

    def __init__(self, broker: str, server: Valkey | Postgres | None) -> None:
        self.broker = broker
        self._server = server
        self._runs = 0

    def clear(self, directory: Path) -> tuple[str, dict[str, Any]]:
        """Make empty stores; the address (or file) of the broker, and the entry of `DATABASES`."""
        self._runs += 1
        if isinstance(self._server, Postgres):
            return self._new_database(self._server)
        file = str(directory / "site.sqlite3")
        if isinstance(self._server, Valkey):
            self._server.flush()
            return self._server.url, _sqlite(file)
        return str(directory / "queue.sqlite3"), _sqlite(file)

    def pids(self) -> list[int]:
        """The server's process, the root of its tree; none for SQLite."""
        return [self._server.pid] if self._server else []

    @property
    def keeps(self) -> str:
        """What of it would outlive a loss of power."""
        return _KEEPS[self.broker]

    def version(self) -> str:
        """Which server it is, as `Valkey 8.1.1`."""
        if not self._server:
            return f"SQLite {sqlite3.sqlite_version}"
        command = [self._server.command()[0], "--version"]
        told = subprocess.run(command, capture_output=True, text=True).stdout  # noqa: S603
        number = re.search(r"\d+(\.\d+)+", told)
        return f"{type(self._server).__name__} {number[0] if number else ''}".strip()

    def _new_database(self, server: Postgres) -> tuple[str, dict[str, Any]]:
        name, old = f"run_{self._runs}", f"run_{self._runs - 1}"
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {old} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {name}")
        entry = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": name,
            "USER": "postgres",
            "HOST": "127.0.0.1",
            "PORT": server.port,
            **_KEPT_OPEN,
        }
        return server.url.rpartition("/")[0] + f"/{name}", entry


@contextlib.contextmanager
def ground(broker: str) -> Iterator[Ground]:
    """Start what the broker needs, and stop it in the end; SystemExit says what is missing."""
    kinds: dict[str, type[Valkey | Postgres]] = {"redis": Valkey, "postgres": Postgres}
    if broker not in kinds:
        yield Ground(broker, None)
        return
    try:
        server = kinds[broker]().start()
    except MissingServer as error:
        raise SystemExit(f"--broker {broker} needs a server: {error}.") from error
    try:
        yield Ground(broker, server)
    finally:
        server.stop()


def _sqlite(file: str) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": file,
        **_KEPT_OPEN,
        "OPTIONS": {
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
        },
    }
