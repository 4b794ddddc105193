"""celery on Redis, its prefork pool, or threads where tasks wait. It has no call for many tasks."""

from collections.abc import Iterable
from typing import Any

import django
from celery import Celery

from benchmarks import tasks
from benchmarks.peers.counting import keys, redis_client
from benchmarks.scene import Scene

_SCENE = Scene.here()
django.setup()

app = Celery("bench", broker=_SCENE.url, backend=_SCENE.url if _SCENE.stores else None)
app.conf.update(
    task_ignore_result=not _SCENE.stores,
    # Its guide on optimizing asks for more than 4 where tasks are short.
    worker_prefetch_multiplier=1 if _SCENE.concurrency else 128,
    worker_hijack_root_logger=False,
)
_TASKS = {
    kind: app.task(name=f"bench.{kind}")(getattr(tasks, kind)) for kind in ("noop", "wait", "spin")
}
_QUIET = ["--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "ERROR"]


def prepare() -> None:
    """Nothing."""


def commands() -> list[list[str]]:
    """One node with a pool of processes; or a node with threads for each process."""
    words = ["celery", "-A", "benchmarks.peers.celery", "worker", *_QUIET]
    if not _SCENE.concurrency:
        return [[*words, "-c", str(_SCENE.workers)]]
    pool = ["-P", "threads", "-c", str(_SCENE.concurrency)]
    return [[*words, *pool, "-n", f"node{number}"] for number in range(_SCENE.workers)]


def send_each(kind: str, numbers: Iterable[int], arguments: dict[str, Any]) -> None:
    """One `delay` each."""
    task = _TASKS[kind]
    for number in numbers:
        task.delay(number, **arguments)


def unsettled() -> int:
    """Messages that wait, and those that were not acknowledged."""
    redis = redis_client()
    return int(redis.llen("celery")) + int(redis.hlen("unacked"))


def results() -> int:
    """Keys of results."""
    return keys("celery-task-meta-*")
