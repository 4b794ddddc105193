"""rq on Redis; as a program, one of its workers, which has loaded the site before the first job."""

from collections.abc import Iterable
from typing import Any

import django
from rq import Queue, SimpleWorker, Worker

from benchmarks import tasks
from benchmarks.peers.counting import redis_client
from benchmarks.scene import Scene

_SCENE = Scene.here()
#: Jobs that are written at once.
_BATCH = 500
_QUEUE = Queue("bench", connection=redis_client())


def prepare() -> None:
    """Nothing."""


def commands() -> list[list[str]]:
    """As many workers as processes: each runs one job at a time."""
    return [["benchmarks.peers.rq"]] * _SCENE.workers


def send_each(kind: str, numbers: Iterable[int], arguments: dict[str, Any]) -> None:
    """One `enqueue` each."""
    task = getattr(tasks, kind)
    for number in numbers:
        _QUEUE.enqueue(task, number, **arguments)


def send_bulk(kind: str, numbers: Iterable[int], arguments: dict[str, Any]) -> None:
    """Some hundred in each `enqueue_many`."""
    task = getattr(tasks, kind)
    jobs = [Queue.prepare_data(task, (number,), arguments) for number in numbers]
    for first in range(0, len(jobs), _BATCH):
        _QUEUE.enqueue_many(jobs[first : first + _BATCH])


def unsettled() -> int:
    """Jobs that wait, and those that run."""
    return int(_QUEUE.count) + int(_QUEUE.started_job_registry.get_job_count(cleanup=False))


def results() -> int:
    """Jobs that are kept as finished."""
    return int(_QUEUE.finished_job_registry.get_job_count(cleanup=False))


if __name__ == "__main__":
    django.setup()
    kind = SimpleWorker if _SCENE.variant == "simple" else Worker
    kind([_QUEUE], connection=redis_client()).work(logging_level="ERROR")
