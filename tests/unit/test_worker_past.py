"""A worker and packages with a past: done already, deadly, lapsed, or coming back."""

import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import pytest

from django_q.brokers import Lease
from django_q.cluster.past import lost_text
from django_q.enqueue import async_task
from django_q.models import Ledger, Rejected, Task
from django_q.results import ledger
from tests.unit.desk import Desk, quick_desk

Configure = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("database")

_seen: list[Any] = []


@pytest.fixture
def desk(q_cluster: Configure) -> Iterator[Desk]:
    q_cluster()
    _seen.clear()
    with quick_desk() as made:
        yield made


def note(value: Any = "ran") -> Any:
    """Leave a trace."""
    _seen.append(value)
    return value


def fail_and_note() -> NoReturn:
    """Fail, and leave a trace."""
    _seen.append("failed")
    raise ValueError("on purpose")


def deliver(desk: Desk, func: Any, *args: Any, times: int = 1, **options: Any) -> tuple[str, str]:
    """Enqueue a task as if it had been delivered so often before; give its id and ledger key."""
    task_id = async_task(func, *args, broker=desk.broker, **options)
    for _ in range(times):
        (lease,) = desk.broker.lease()
        desk.broker.release([str(lease.receipt)], counted=True)
    return task_id, f"default:{lease.id}"


# Done already.


def test_what_has_succeeded_is_not_run_again(desk: Desk) -> None:
    task_id, key = deliver(desk, note)
    ledger.charge_death(key, "signal SIGKILL")
    moment = "2026-01-01T00:00:00Z"
    Task.objects.create(id=task_id, name="n", func="f", started=moment, stopped=moment)

    desk.work()

    assert _seen == []
    assert Task.objects.get().name == "n"
    assert not Ledger.objects.exists()


def test_what_has_failed_before_is_run_again(desk: Desk) -> None:
    task_id, _ = deliver(desk, note)
    moment = "2026-01-01T00:00:00Z"
    values = {"started": moment, "stopped": moment, "success": False, "attempt_count": 1}
    Task.objects.create(id=task_id, name="n", func="f", **values)

    desk.work()

    assert _seen == ["ran"]
    task = Task.objects.get()
    assert (task.success, task.result, task.attempt_count) == (True, "ran", 2)


# Deadly.


def test_a_task_that_ended_too_many_workers_fails_without_a_run(desk: Desk) -> None:
    task_id, key = deliver(desk, note, "deadly", times=3, hook=note_hook)
    for _ in range(3):
        ledger.charge_death(key, "it died of signal SIGKILL")

    desk.work(until=lambda: _seen)

    task = Task.objects.get(pk=task_id)
    assert not task.success
    assert "ended its worker 3 times" in task.result and "SIGKILL" in task.result
    assert task.args == ("deadly",)
    assert _seen == [f"hook {task.name}"]
    assert not Ledger.objects.exists()


def note_hook(task: Task) -> None:
    """Leave a trace of a hook."""
    _seen.append(f"hook {task.name}")


def test_a_task_that_ended_fewer_workers_is_tried_again(desk: Desk) -> None:
    _, key = deliver(desk, note, times=2)
    for _ in range(2):
        ledger.charge_death(key, "signal SIGKILL")

    desk.work()

    assert _seen == ["ran"]
    assert not Ledger.objects.exists()


def test_a_condemned_task_fails_with_its_verdict(desk: Desk) -> None:
    task_id, key = deliver(desk, note)
    ledger.condemn(key, "It ran longer than its hard limit.")

    desk.work()

    assert _seen == []
    assert Task.objects.get(pk=task_id).result == "It ran longer than its hard limit."


def test_a_verdict_is_final_even_where_failures_come_back(desk: Desk, q_cluster: Configure) -> None:
    q_cluster(ack_failures=False, retry=1)
    _, key = deliver(desk, note)
    ledger.condemn(key, "It ran longer than its hard limit.")

    desk.work()

    assert Task.objects.get().attempt_count == 1


def test_a_package_that_kills_while_it_is_opened_is_rejected(desk: Desk) -> None:
    _, key = deliver(desk, note, times=3)
    for _ in range(3):
        ledger.charge_death(key, "signal SIGSEGV", in_opening=True)

    desk.work()

    assert _seen == []
    assert "ended 3 workers: signal SIGSEGV" in Rejected.objects.get().reason
    assert not Task.objects.exists()


def test_a_task_whose_machine_went_away_too_often_fails(desk: Desk, q_cluster: Configure) -> None:
    q_cluster(max_lost=3)
    deliver(desk, note, times=4)

    desk.work()

    assert _seen == []
    assert "lost 4 times" in Task.objects.get().result


def test_runs_that_were_not_committed_are_not_laid_to_machines_alone() -> None:
    package: Any = {"atomic": True}

    assert "4 runs of this task were not committed" in lost_text(package, 4)


def test_a_few_lost_leases_are_forgiven(desk: Desk, q_cluster: Configure) -> None:
    q_cluster(max_lost=3)
    deliver(desk, note, times=3)

    desk.work()

    assert _seen == ["ran"]


# Not ours any more.


def leave_in_inbox(desk: Desk, **values: Any) -> Lease:
    """Put a lease before the worker, with these values."""
    async_task(note, broker=desk.broker)
    (lease,) = desk.broker.lease()
    lease.until = time.monotonic() + 60
    lease.queue, lease.key = "default", f"default:{lease.id}"
    for name, value in values.items():
        setattr(lease, name, value)
    desk.clerk.inbox.put(lease)
    desk.clerk.inbox.put(None)
    return lease


def test_a_lease_that_may_have_lapsed_is_not_started_and_goes_back(desk: Desk) -> None:
    leave_in_inbox(desk, until=time.monotonic() - 1)

    desk.worker().run()

    assert _seen == []
    assert (desk.broker.queue_size(), desk.broker.lock_size()) == (1, 0)


def test_a_lease_that_was_recalled_is_not_started(desk: Desk) -> None:
    desk.slot.set("recall", 1)
    leave_in_inbox(desk, recall=0)

    desk.worker().run()

    assert _seen == []
    assert (desk.broker.queue_size(), desk.broker.lock_size()) == (1, 0)


def test_a_lease_that_is_ours_is_started(desk: Desk) -> None:
    desk.slot.set("recall", 1)
    leave_in_inbox(desk, recall=1)

    desk.worker().run()

    assert _seen == ["ran"]


# Coming back.


def test_a_failure_that_is_not_acknowledged_comes_back_after_retry(
    desk: Desk, q_cluster: Configure
) -> None:
    q_cluster(ack_failures=False, retry=0.4, max_attempts=3)
    async_task(fail_and_note, broker=desk.broker)
    began = time.monotonic()

    desk.work(until=lambda: len(_seen) == 3)

    assert time.monotonic() - began > 0.7
    assert _seen == ["failed"] * 3
    assert desk.broker.lease(1) == []
    assert Task.objects.get().attempt_count == 3
