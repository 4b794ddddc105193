"""huey, on Redis or a file of SQLite, with worker processes. It has no call for many tasks."""

from collections.abc import Iterable
from typing import Any

import django
from huey import RedisHuey, SqliteHuey

from benchmarks import tasks
from benchmarks.scene import Scene

_SCENE = Scene.here()
django.setup()

if _SCENE.broker == "redis":
    app = RedisHuey("bench", url=_SCENE.url, results=_SCENE.stores)
else:
    # Waits for a lock as long as the site does. It knows two ways between which ours (WAL,
    # synchronous normal) lies: to sync every commit, and to sync nothing.
    fsync = False if _SCENE.variant == "loose" else None
    app = SqliteHuey("bench", filename=_SCENE.url, results=_SCENE.stores, timeout=20, fsync=fsync)
_TASKS = {kind: app.task()(getattr(tasks, kind)) for kind in ("noop", "wait", "spin")}


def prepare() -> None:
    """Nothing: the storage makes its tables."""


def commands() -> list[list[str]]:
    """One consumer with processes; or, where tasks wait, a consumer with threads for each."""
    words = ["huey.bin.huey_consumer", "benchmarks.peers.huey.app", "-q", "-n"]
    if _SCENE.concurrency:
        return [[*words, "-k", "thread", "-w", str(_SCENE.concurrency)]] * _SCENE.workers
    return [[*words, "-k", "process", "-w", str(_SCENE.workers)]]


def send_each(kind: str, numbers: Iterable[int], arguments: dict[str, Any]) -> None:
    """One call each."""
    task = _TASKS[kind]
    for number in numbers:
        task(number, **arguments)


def unsettled() -> int:
    """What waits: it has no acknowledgements."""
    return app.pending_count()


def results() -> int:
    """Results in its storage."""
    return app.result_count()
