"""Servers, databases and processes to measure on."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.servers import Postgres, Valkey

ROOT = Path(__file__).parents[1]
_TICK = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = resource.getpagesize()


@contextlib.contextmanager
def servers(broker: str, directory: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Start what `broker` ("redis", "postgres", "sqlite") needs; its Q_CLUSTER and DATABASES entry.

    Results go to SQLite in WAL mode, or to PostgreSQL where that is the broker. fsync is off in
    PostgreSQL, as in the figures of other queues we compare with.
    """
    sqlite: dict[str, Any] = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(directory / "bench.sqlite3"),
        "OPTIONS": {
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
        },
    }
    if broker == "sqlite":
        yield {"orm": "default"}, sqlite
        return
    server = Valkey() if broker == "redis" else Postgres()
    server.start()
    try:
        if isinstance(server, Valkey):
            yield {"redis": server.url}, sqlite
        else:
            yield (
                {"orm": "default"},
                {
                    "ENGINE": "django.db.backends.postgresql",
                    "NAME": "django_q",
                    "USER": "postgres",
                    "HOST": "127.0.0.1",
                    "PORT": server.port,
                },
            )
    finally:
        server.stop()


class Tree:
    """A `qcluster` that is measured from outside."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "django", "qcluster"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if "running" in line:
                return
        raise SystemExit("The cluster did not start; run it by hand to see why.")

    def workers(self) -> list[int]:
        """Pids of the workers: all children but the housekeeper, which is the first."""
        return self.children()[1:]

    def children(self) -> list[int]:
        """Pids of all children."""
        task = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in task.read_text().split()]

    def signal(self, number: int) -> None:
        """Send a signal to each worker."""
        for pid in self.workers():
            os.kill(pid, number)

    def stop(self) -> None:
        """Stop the cluster in order."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def cpu_seconds(pids: list[int]) -> float:
    """CPU time, user and system, that these processes have used so far."""
    total = 0.0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) * _TICK
    return total


def wait_until(is_done: Callable[[], bool], limit: float) -> None:
    """Wait for a condition; ends the benchmark when it does not come true in `limit` seconds."""
    end = time.monotonic() + limit
    while not is_done():
        if time.monotonic() > end:
            raise SystemExit(f"Nothing came of it within {limit:.0f} s.")
        time.sleep(0.005)
