"""What the project does: `python deeds.py NAME ARGUMENT...`, both as JSON; answers JSON."""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import django

if __name__ == "__main__":
    django.setup()

import jobs
from django.core import checks
from django.core.management import call_command
from django.db import transaction

from django_q.models import Task
from django_q.tasks import async_task, cancel, result_or_raise

if django.VERSION >= (6, 0):
    from django.tasks import default_task_backend
    from django.tasks.exceptions import TaskResultDoesNotExist
    from django.tasks.signals import task_enqueued
else:
    from django_tasks import default_task_backend
    from django_tasks.exceptions import TaskResultDoesNotExist
    from django_tasks.signals import task_enqueued


def prepare(path: str) -> dict[str, Any]:
    """Make the tables, and send tasks while no cluster runs; what is known of them."""
    call_command("migrate", verbosity=0)
    sent = {
        "low": jobs.write.using(priority=-10).enqueue(path, "low"),
        "middle": jobs.write.enqueue(path, "middle"),
        "high": jobs.write.using(priority=10).enqueue(path, line="high"),
        "later": jobs.write.using(run_after=timedelta(seconds=1)).enqueue(path, "later"),
        "elsewhere": jobs.add.using(queue_name="other").enqueue(1, 1),
    }
    return {
        "checks": [str(found) for found in checks.run_checks()],
        "ids": {name: result.id for name, result in sent.items()},
        "statuses": sorted({str(result.status) for result in sent.values()}),
        "differ": [name for name, result in sent.items() if _again(result) != result],
    }


def work(ids: dict[str, str]) -> dict[str, Any]:
    """Send tasks to the cluster that runs; what became of these and of those before."""
    ended = {name: _ended(default_task_backend.get_result(ids[name])) for name in ("low", "later")}
    return {
        "waited": (ended["later"].started_at - ended["later"].enqueued_at).total_seconds(),
        "elsewhere": _facts(default_task_backend.get_result(ids["elsewhere"])),
        "add": _facts(_ended(jobs.add.enqueue([1], [2]))),
        "double": _facts(_ended(jobs.double.enqueue(21))),
        "tell": _facts(_ended(jobs.tell.enqueue())),
        "recover": _facts(_ended(jobs.recover.enqueue())),
        "hopeless": _facts(_ended(jobs.hopeless.enqueue())),
        "linger": _facts(_ended(jobs.linger.enqueue())),
    }


def watch(gate: str) -> list[str]:
    """Give the statuses that a task goes through."""
    result = jobs.wait_for.enqueue(gate)
    seen = [str(result.status)]
    _until(lambda: result.refresh() or str(result.status) == "RUNNING")
    seen.append(f"{result.status} {len(result.worker_ids)}")
    Path(gate).touch()
    return [*seen, str(_ended(result).status)]


def both_doors() -> dict[str, Any]:
    """Send through the other door: a function, and a task of the framework by its path."""
    plain, by_path = async_task("jobs.plain", 41), async_task("jobs.add", 40, 2)
    return {
        "plain": result_or_raise(plain, wait=10_000),
        "by_path": result_or_raise(by_path, wait=10_000),
        "plain_is_no_result": _is_unknown(plain),
        "by_path_is": str(default_task_backend.get_result(by_path).status),
    }


def cancelled() -> dict[str, Any]:
    """Cancel a task that waits."""
    result = jobs.add.using(run_after=timedelta(hours=1)).enqueue(1, 1)
    cancel(result.id)
    return _facts(_ended(result))


def on_commit() -> list[Any]:
    """Send inside transactions, one of which is rolled back."""
    told: list[str] = []

    def hear(task_result: Any, **kwargs: Any) -> None:
        told.append(task_result.id)

    task_enqueued.connect(hear)
    late = jobs.add.using(backend="late")
    with transaction.atomic():
        kept = late.enqueue(1, 2)
        inside = [told[:], str(_again(kept).status)]
    with transaction.atomic():
        dropped = late.enqueue(3, 4)
        transaction.set_rollback(True)
    assert told == [kept.id]
    return [*inside, _ended(kept).return_value, kept.backend, _is_unknown(dropped.id)]


def forget() -> bool:
    """Prune a result; whether it is unknown then."""
    result = _ended(jobs.add.enqueue(1, 1))
    Task.objects.filter(pk=result.id).delete()
    return _is_unknown(result.id)


def in_a_loop() -> list[Any]:
    """Do all that there is for an event loop."""

    async def go() -> list[Any]:
        result = await jobs.add.aenqueue(20, 22)
        while not result.is_finished:
            await asyncio.sleep(0.02)
            await result.arefresh()
        again = await jobs.add.aget_result(result.id)
        return [result.return_value, again.return_value]

    return asyncio.run(go())


def _ended(result: Any) -> Any:
    _until(lambda: result.refresh() or result.is_finished)
    return default_task_backend.get_result(result.id)


def _until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end, "it did not happen within 15 s"
        time.sleep(0.05)


def _again(result: Any) -> Any:
    return default_task_backend.get_result(result.id)


def _facts(result: Any) -> dict[str, Any]:
    return {
        "id": result.id,
        "status": str(result.status),
        "value": result._return_value,
        "attempts": result.attempts,
        "errors": [error.exception_class_path for error in result.errors],
        "traceback": result.errors[-1].traceback if result.errors else "",
        "queue": result.task.queue_name,
    }


def _is_unknown(result_id: str) -> bool:
    try:
        default_task_backend.get_result(result_id)
    except TaskResultDoesNotExist:
        return True
    return False


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    answers = {}
    for deed in name.split(","):
        answers[deed] = globals()[deed](*map(json.loads, arguments))
        arguments = []
    print(json.dumps(answers))
