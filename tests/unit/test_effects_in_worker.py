"""Tasks with `atomic` in a whole worker: what comes after the commit is as with any other task."""

import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection

from django_q.brokers.orm import ORM
from django_q.enqueue import async_task
from django_q.models import Attempt, OrmQ, Permit, Task, Tracked, UniqueKey
from django_q.signals import post_execute, post_execute_in_worker
from django_q.tasks import async_group, async_iter, result
from tests.site.effects import effects
from tests.unit.desk import Desk

SITE = "tests.site.effects"
Configure = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("database")

_seen: list[Any] = []


class Quick(ORM):
    """Is left quickly at the end of a test."""

    idle_wait = 0.1


@pytest.fixture
def desk(q_cluster: Configure) -> Iterator[Desk]:
    q_cluster(orm="default", save_limit=0, retry_delay=0.01)
    before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGALRM)}
    _seen.clear()
    made = Desk(Quick())
    yield made
    made.close()
    for number, handler in before.items():
        signal.signal(number, handler)


def note(task: Task) -> None:
    """As a hook, tell what is there by then."""
    rows, packages = Task.objects.count(), OrmQ.objects.count()
    _seen.append((task.result, rows, packages, effects(), connection.in_atomic_block))


def test_hooks_and_receivers_come_after_the_commit(desk: Desk) -> None:
    def receive(task: Any, **arguments: Any) -> None:
        _seen.append((task["success"], effects(), connection.in_atomic_block))

    async_task(f"{SITE}.leave", "a", atomic=True, hook=note)
    post_execute_in_worker.connect(receive)
    post_execute.connect(receive)
    try:
        desk.work(until=lambda: len(_seen) == 3)
    finally:
        post_execute_in_worker.disconnect(receive)
        post_execute.disconnect(receive)

    told = (True, {"a": 1}, False)
    assert _seen == [told, (None, 1, 0, {"a": 1}, False), told]


def test_groups_and_iterations_are_followed_once(desk: Desk) -> None:
    members = [(f"{SITE}.follow", (n,)) for n in range(3)]
    group = async_group(members, callback=f"{SITE}.collect", atomic=True)
    parts = async_iter(f"{SITE}.follow", [8, 9], atomic=True)

    desk.work(until=lambda: Task.objects.count() == 5)

    wanted = {f"after {n}": 1 for n in (0, 1, 2, 8, 9)}
    assert effects() == wanted | {"all of ['None', 'None', 'None']": 1}
    assert result(str(group.callback_id)) == [None] * 3
    assert result(parts) == [None] * 2


def test_a_failed_run_is_rolled_back_and_the_next_one_stands(desk: Desk, tmp_path: Any) -> None:
    path = str(tmp_path / "runs")
    async_task(f"{SITE}.fail_first", path, "a", atomic=True, max_attempts=2)

    desk.work(until=lambda: Task.objects.exists())

    assert effects() == {"a": 1}
    assert Task.objects.get().success
    assert Attempt.objects.count() == 1


def test_a_failure_is_recorded_outside(desk: Desk) -> None:
    async_task(f"{SITE}.fail", "a", atomic=True, on_failure=f"{SITE}.follow")

    desk.work(until=lambda: Task.objects.count() == 2)

    assert sum(effects().values()) == 1
    assert Task.objects.filter(success=False).count() == 1
    assert not OrmQ.objects.exists()


def test_what_is_taken_for_a_task_is_given_back_with_it(desk: Desk) -> None:
    limits = {"unique": True, "concurrency_key": "a", "track": True}
    task_id = async_task(f"{SITE}.leave", "a", atomic=True, **limits)

    desk.work(until=lambda: Task.objects.exists())

    assert result(task_id) is None
    kept = [model.objects.count() for model in (Tracked, Permit, UniqueKey, OrmQ)]
    assert kept == [0, 0, 0, 0]
