"""What a task can ask about itself, from wherever its code runs."""

import asyncio
import contextvars
import threading
import time
import timeit
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from django_q.current import CurrentTask, enter, leave
from django_q.executor import execute
from django_q.package import TaskPackage, build_package
from django_q.soft_limit import SoftLimit
from django_q.tasks import async_task, current_task

Configure = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("database")

_seen: list[CurrentTask | None] = []


@pytest.fixture(autouse=True)
def settings(q_cluster: Configure) -> None:
    q_cluster()
    _seen.clear()


def look() -> None:
    _seen.append(current_task())


def look_from_a_thread() -> None:
    """A thread sees it if it was started with a copy of the context."""
    context = contextvars.copy_context()
    for target in (lambda: context.run(look), look):
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()


async def look_from_a_coroutine() -> None:
    look()
    await asyncio.gather(asyncio.create_task(_look_later()), asyncio.to_thread(look))


async def _look_later() -> None:
    look()


def look_around_another() -> None:
    async_task(look, sync=True)
    look()


def run(func: Any, **options: Any) -> TaskPackage:
    package = build_package(func, (), {}, options)
    outcome = execute(package, SoftLimit())
    assert outcome.success, outcome.result
    return package


def test_outside_of_tasks_there_is_none() -> None:
    run(look)

    assert current_task() is None


def test_a_task_knows_itself() -> None:
    package = run(look, group="bills", timeout=60, task_name="bill", cluster="slow", max_attempts=3)

    (task,) = _seen
    assert task is not None
    assert (task.id, task.name, task.group, task.queue) == (package["id"], "bill", "bills", "slow")
    assert (task.attempt, task.max_attempts) == (1, 3)
    assert task.deadline == task.started + timedelta(seconds=60)
    assert task.started.utcoffset() is not None
    assert repr(task) == f"<CurrentTask bill [{package['id']}]>"


def test_without_a_limit_there_is_no_deadline() -> None:
    run(look)

    (task,) = _seen
    assert task is not None
    assert (task.deadline, task.group, task.queue, task.max_attempts) == (None, None, "default", 1)


def test_its_threads_know_it_with_a_copy_of_its_context() -> None:
    package = run(look_from_a_thread)

    inside, outside = _seen
    assert inside is not None and inside.id == package["id"]
    assert outside is None


def test_its_coroutines_know_it() -> None:
    package = run(look_from_a_coroutine)

    assert [task.id for task in _seen if task] == [package["id"]] * 3


def test_a_task_within_a_task_is_another() -> None:
    package = run(look_around_another)

    inner, outer = _seen
    assert inner is not None and outer is not None
    assert outer.id == package["id"] != inner.id
    assert inner.deadline is None


def test_it_costs_as_little_as_some_dozen_empty_calls() -> None:
    package, now = build_package(look, (), {}, {}), timezone.now()

    def once() -> None:
        leave(enter(CurrentTask(package, now, None)))

    def nothing() -> None:
        pass

    def cost(call: Callable[[], None]) -> float:
        return timeit.timeit(call, timer=time.thread_time, number=1000)

    # In turns, and the best of many: machines are slower at times, and this one has other work.
    turns = [(cost(once), cost(nothing)) for _ in range(50)]
    assert min(turn[0] for turn in turns) < 60 * min(turn[1] for turn in turns)
