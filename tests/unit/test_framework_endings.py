"""The signal `task_finished` of Django's framework: once for each task, however it ends."""

import contextlib
import importlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import django
import pytest
from django.db import transaction

from django_q.brokers import Broker, shared_broker
from django_q.brokers.memory import Memory
from django_q.cancelling import cancel_all
from django_q.cluster import burial
from django_q.cluster.scoreboard import Cause, Mark, Obituary, Phase
from django_q.framework.family import family
from django_q.models import Task, Tracked
from django_q.results import ledger
from django_q.tasks import async_task, cancel
from tests.unit.desk import Desk, signals_kept
from tests.unit.grave import KILLED, Grave
from tests.unit.planned import MEMORY

ROOT = "django.tasks" if django.VERSION >= (6, 0) else "django_tasks"
FAMILY = family(ROOT)
framework = importlib.import_module(ROOT)
CANCELLED = Obituary(12, -9, Cause.CANCELLED)


class Forgetful(Memory):
    """Lends nothing: what is taken is gone."""

    has_receipts = False


@framework.task
def work(value: Any = None) -> Any:
    """Give the value."""
    return value


@pytest.fixture(autouse=True)
def settings(database: str, q_cluster: Callable[..., Any]) -> Iterator[None]:
    q_cluster(broker_class=MEMORY)
    with signals_kept():
        yield


@pytest.fixture
def told() -> Iterator[list[Any]]:
    """What the receivers of the signal were told: results."""
    results: list[Any] = []

    def receive(task_result: Any, **kwargs: Any) -> None:
        results.append(task_result)

    FAMILY.signals.task_finished.connect(receive)
    yield results
    FAMILY.signals.task_finished.disconnect(receive)


def backend() -> Any:
    return framework.task_backends["default"]


def work_off(broker: Broker) -> None:
    with contextlib.closing(Desk(broker)) as desk:
        desk.work()


def cause_of(result: Any) -> str:
    (error,) = result.errors
    return str(error.exception_class_path).rpartition(".")[2]


def dead_worker(broker: Broker, task_id: str) -> Grave:
    """Leave a worker that died while it ran this task, on a broker that cannot deliver again."""
    grave = Grave(broker)
    mark = Mark(Phase.RUNNING, None, "k", time.monotonic() - 5, 0.0, task_id, "n", work.module_path)
    grave.slot.write_mark(mark)
    return grave


def test_who_cancels_what_waits_tells(told: list[Any]) -> None:
    result = work.using(priority=3).enqueue([1])

    cancel(result.id)

    assert told == [backend().get_result(result.id)]
    assert (str(told[0].status), cause_of(told[0])) == ("FAILED", "TaskCancelled")
    assert (told[0].args, told[0].worker_ids, told[0].task.priority) == ([[1]], [], 3)


def test_the_worker_that_comes_to_it_does_not_tell_again(told: list[Any]) -> None:
    result = work.enqueue()
    cancel(result.id)

    work_off(shared_broker())

    assert Task.objects.get(pk=result.id).worker is not None
    assert len(told) == 1


def test_a_wish_that_only_a_worker_can_obey_is_told_by_it(told: list[Any]) -> None:
    result = work.enqueue()
    # As if it had begun.
    Tracked.objects.update(state=Tracked.State.RUNNING)
    cancel(result.id)
    assert not told

    work_off(shared_broker())

    assert [cause_of(one) for one in told] == ["TaskCancelled"]


def test_several_are_told_of_each(told: list[Any]) -> None:
    ids = [work.enqueue().id, work.enqueue().id]
    other = async_task("tests.site.tasks.noop", track=True)

    cancel_all([*ids, other])

    assert sorted(one.id for one in told) == sorted(ids)


def test_a_wish_that_is_rolled_back_is_not_told(told: list[Any]) -> None:
    result = work.enqueue()

    with transaction.atomic():
        cancel(result.id)
        transaction.set_rollback(True)

    assert not told
    assert str(backend().get_result(result.id).status) == "READY"


def test_a_task_that_was_killed_at_its_hard_limit_is_told_of(told: list[Any]) -> None:
    result, broker = work.enqueue(), shared_broker()
    (lease,) = broker.lease()
    broker.release([str(lease.receipt)], counted=True)
    ledger.condemn(f"default:{lease.id}", "It ran longer than its hard limit.")

    work_off(broker)

    assert [(one.id, cause_of(one)) for one in told] == [(result.id, "TimeoutException")]


@pytest.mark.parametrize(
    ("end", "cause"), [(KILLED, "TaskFailed"), (CANCELLED, "TaskCancelled")], ids=["died", "killed"]
)
def test_what_no_worker_comes_to_again_is_told_by_the_housekeeper(
    told: list[Any], end: Obituary, cause: str
) -> None:
    result = work.using(priority=3).enqueue("lost")
    if end is CANCELLED:
        Tracked.objects.update(state=Tracked.State.RUNNING)
        cancel(result.id, kill=True)
    grave = dead_worker(Forgetful(), result.id)

    for _ in range(2):
        grave.bury(end)

    assert [(one.id, cause_of(one)) for one in told] == [(result.id, cause)]
    assert (told[0].args, told[0].task.priority) == (["lost"], 3)
    assert not Tracked.objects.exists()


def test_a_receiver_does_not_hold_the_housekeeper_up(
    told: list[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(burial, "_USER_CODE_LIMIT", 0.05)
    result = work.enqueue()

    def hang(**kwargs: Any) -> None:
        time.sleep(60)

    FAMILY.signals.task_finished.connect(hang)
    try:
        dead_worker(Forgetful(), result.id).bury()
    finally:
        FAMILY.signals.task_finished.disconnect(hang)

    assert "A receiver of task_finished ran longer" in caplog.text
    assert str(backend().get_result(result.id).status) == "FAILED"


def test_a_task_that_is_not_to_be_found_is_cancelled_all_the_same(
    told: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    result = work.enqueue()
    Tracked.objects.update(func="tests.nowhere.work")

    assert cancel(result.id) == "cancelled"

    assert not told
    assert "task_finished of" in caplog.text and "cannot be sent" in caplog.text
