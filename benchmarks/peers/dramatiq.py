"""dramatiq on Redis, with its own number of threads. It has no call for many tasks."""

from collections.abc import Iterable
from typing import Any

import django
import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks import tasks
from benchmarks.peers.counting import keys, redis_client
from benchmarks.scene import Scene

_SCENE = Scene.here()
django.setup()

broker = RedisBroker(url=_SCENE.url)
if _SCENE.stores:
    backend = RedisBackend(url=_SCENE.url, namespace="result", use_namespace_prefix_keys=True)
    broker.add_middleware(Results(backend=backend, store_results=True))
dramatiq.set_broker(broker)
_ACTORS = {kind: dramatiq.actor(getattr(tasks, kind)) for kind in ("noop", "wait", "spin")}


def prepare() -> None:
    """Nothing."""


def commands() -> list[list[str]]:
    """Processes with 8 threads, its default, or as many as tasks may wait side by side."""
    words = ["dramatiq", "benchmarks.peers.dramatiq:broker", "-p", str(_SCENE.workers)]
    return [[*words, "-t", str(_SCENE.concurrency or 8)]]


def send_each(kind: str, numbers: Iterable[int], arguments: dict[str, Any]) -> None:
    """One message each."""
    actor = _ACTORS[kind]
    for number in numbers:
        actor.send(number, **arguments)


def unsettled() -> int:
    """Messages that wait or were not acknowledged: both are kept until then."""
    return int(redis_client().hlen("dramatiq:default.msgs"))


def results() -> int:
    """Keys of results."""
    return keys("result:*")
