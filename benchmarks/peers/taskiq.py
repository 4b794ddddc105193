"""taskiq on Redis: a stream with results, or a list without. It has no call for many tasks."""

import asyncio
import functools
from collections.abc import Iterable
from typing import Any

import django
import uvloop
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend, RedisStreamBroker

from benchmarks import tasks
from benchmarks.peers.counting import keys, redis_client
from benchmarks.scene import Scene

_SCENE = Scene.here()
django.setup()

# redis-py ends a read after 5 s, and with it the worker that listens; while a worker is stopped and
# its queue is filled, more passes.
_PATIENT = {"socket_timeout": None}
if _SCENE.stores:
    results_in = RedisAsyncResultBackend(_SCENE.url, prefix_str="result")
    broker = RedisStreamBroker(_SCENE.url, **_PATIENT).with_result_backend(results_in)
else:
    broker = ListQueueBroker(_SCENE.url, **_PATIENT)
_TASKS = {
    kind: broker.task(task_name=kind)(getattr(tasks, f"{kind}_async"))
    for kind in ("noop", "wait", "spin")
}


def prepare() -> None:
    """Make the group of consumers."""
    _runner().run(broker.startup())


def commands() -> list[list[str]]:
    """Processes with a loop each, and its default of 100 coroutines."""
    words = ["taskiq", "worker", "benchmarks.peers.taskiq:broker", "-w", str(_SCENE.workers)]
    return [[*words, "--log-level", "ERROR", "--max-async-tasks", str(_SCENE.concurrency or 100)]]


def send_each(kind: str, numbers: Iterable[int], arguments: dict[str, Any]) -> None:
    """One `kiq` each."""
    _runner().run(_send(kind, numbers, arguments))


async def _send(kind: str, numbers: Iterable[int], arguments: dict[str, Any]) -> None:
    task = _TASKS[kind]
    for number in numbers:
        await task.kiq(number, **arguments)


def unsettled() -> int:
    """What the list holds; or what the group has not read or not acknowledged."""
    redis = redis_client()
    if not _SCENE.stores:
        return int(redis.llen("taskiq"))
    (group,) = redis.xinfo_groups("taskiq")
    return int(group["lag"]) + int(group["pending"])


def results() -> int:
    """Keys of results."""
    return keys("result:*")


@functools.cache
def _runner() -> asyncio.Runner:
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)
