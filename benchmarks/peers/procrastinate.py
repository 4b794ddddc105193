"""procrastinate in a Django site, with coroutines. A job's row says how it ended; no results."""

from collections.abc import Iterable
from typing import Any

from django.core.management import call_command
from procrastinate.contrib.django import app

from benchmarks import tasks
from benchmarks.peers.counting import rows
from benchmarks.scene import Scene

_SCENE = Scene.here()
#: Jobs that are written at once.
_BATCH = 1_000
_TASKS = {
    kind: app.task(name=kind)(getattr(tasks, f"{kind}_async")) for kind in ("noop", "wait", "spin")
}


def prepare() -> None:
    """Make its tables."""
    call_command("migrate", verbosity=0)


def commands() -> list[list[str]]:
    """As many workers as processes; 30 jobs side by side, which hides its round trips."""
    words = ["django", "procrastinate", "worker", "-c", str(_SCENE.concurrency or 30)]
    return [words] * _SCENE.workers


def send_each(kind: str, numbers: Iterable[int], arguments: dict[str, Any]) -> None:
    """One `defer` each."""
    task = _TASKS[kind]
    for number in numbers:
        task.defer(number=number, **arguments)


def send_bulk(kind: str, numbers: Iterable[int], arguments: dict[str, Any]) -> None:
    """A thousand in each `batch_defer`."""
    jobs = [{"number": number, **arguments} for number in numbers]
    for first in range(0, len(jobs), _BATCH):
        _TASKS[kind].batch_defer(*jobs[first : first + _BATCH])


def unsettled() -> int:
    """Jobs that wait or run."""
    return rows("procrastinate_jobs WHERE status IN ('todo', 'doing')")


def results() -> int:
    """Jobs that are kept as succeeded."""
    return rows("procrastinate_jobs WHERE status = 'succeeded'")
