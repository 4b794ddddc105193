"""pgqueuer, with asyncpg and uvloop; as a program, a worker.

It keeps a log of what was done, but no results.
"""

import asyncio
import functools
import signal
from collections.abc import Iterable
from typing import Any

import asyncpg
import django
import uvloop
from pgqueuer import PgQueuer, Queries
from pgqueuer.models import Job

from benchmarks import tasks
from benchmarks.peers.counting import rows
from benchmarks.scene import Scene

_SCENE = Scene.here()
django.setup()
#: Jobs that are written at once.
_BATCH = 1_000


async def _work() -> None:
    queue = PgQueuer.from_asyncpg_connection(await asyncpg.connect(_SCENE.url))
    for kind in ("noop", "wait", "spin"):
        queue.entrypoint(kind)(functools.partial(_run, getattr(tasks, f"{kind}_async")))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, queue.shutdown.set)
    if _SCENE.concurrency:
        half = _SCENE.concurrency // 2
        await queue.run(batch_size=half, max_concurrent_tasks=_SCENE.concurrency)
    else:
        await queue.run(batch_size=100)


async def _run(task: Any, job: Job) -> None:
    assert job.payload is not None
    number, _, payload = job.payload.decode().partition(" ")
    await task(int(number), *([payload] if payload else []))


def prepare() -> None:
    """Make its tables."""
    _runner().run(_queries().install())


def commands() -> list[list[str]]:
    """As many workers as processes, with batches of a hundred."""
    return [["benchmarks.peers.pgqueuer"]] * _SCENE.workers


def send_each(kind: str, numbers: Iterable[int], arguments: dict[str, Any]) -> None:
    """One `enqueue` each."""
    _runner().run(_send_each(kind, numbers, arguments))


async def _send_each(kind: str, numbers: Iterable[int], arguments: dict[str, Any]) -> None:
    queries = _queries()
    for number in numbers:
        await queries.enqueue(kind, _payload(number, arguments))


def send_bulk(kind: str, numbers: Iterable[int], arguments: dict[str, Any]) -> None:
    """A thousand in each `enqueue`."""
    _runner().run(_send_bulk(kind, [_payload(number, arguments) for number in numbers]))


async def _send_bulk(kind: str, payloads: list[bytes]) -> None:
    for first in range(0, len(payloads), _BATCH):
        batch = payloads[first : first + _BATCH]
        await _queries().enqueue([kind] * len(batch), list(batch), [0] * len(batch))


def unsettled() -> int:
    """Rows of the queue: they go when a job is done."""
    return rows("pgqueuer")


def results() -> int:
    """Rows of the log."""
    return rows("pgqueuer_log WHERE status = 'successful'")


def _payload(number: int, arguments: dict[str, Any]) -> bytes:
    return f"{number} {arguments.get('payload', '')}".encode()


@functools.cache
def _runner() -> asyncio.Runner:
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


@functools.cache
def _queries() -> Queries:
    return Queries.from_asyncpg_connection(_runner().run(asyncpg.connect(_SCENE.url)))


if __name__ == "__main__":
    uvloop.run(_work())
