"""A worker and packages with a past: done already, deadly, lapsed, or coming back."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any, NoReturn

import pytest
from django.utils import timezone

from django_q.brokers import Lease
from django_q.brokers.memory import Memory
from django_q.cluster import past
from django_q.cluster.past import lost_text
from django_q.enqueue import async_task
from django_q.exceptions import ResultsUnavailable
from django_q.models import Ledger, Rejected, Task
from django_q.package import derived_id
from django_q.results import ledger
from django_q.results.database import DatabaseStore
from tests.unit.desk import Desk, Quick, quick_desk

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


# The books are away.


def test_a_package_with_a_past_waits_until_the_books_answer(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending, tries = DatabaseStore.ending, []

    def flaky(self: DatabaseStore, task_id: str, number: int) -> Any:
        tries.append(task_id)
        if len(tries) < 3:
            raise ResultsUnavailable("The database is away.")
        return ending(self, task_id, number)

    monkeypatch.setattr(DatabaseStore, "ending", flaky)
    deliver(desk, note)

    desk.work()

    assert (len(tries), _seen) == (3, ["ran"])


def test_a_package_whose_past_nobody_knows_goes_back_at_a_stop(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: Any) -> NoReturn:
        _seen.append("asked")
        raise ResultsUnavailable("The database is away.")

    monkeypatch.setattr(ledger, "history", away)
    deliver(desk, note)

    desk.work(until=lambda: _seen)

    assert "ran" not in _seen
    assert (desk.broker.queue_size(), desk.broker.lock_size()) == (1, 0)


def test_a_worker_that_never_hears_of_a_past_lets_others_try(
    desk: Desk, q_cluster: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be this process alone that cannot reach the books: it has no free file."""
    q_cluster(retry=0.6)
    released: list[float] = []

    def away(*args: Any) -> NoReturn:
        raise ResultsUnavailable("The database is away.")

    def release(
        self: Quick, receipts: Sequence[str], delay: float = 0.0, *, counted: bool = False
    ) -> None:
        assert not counted
        released.append(delay)
        Memory.release(self, receipts, delay)

    monkeypatch.setattr(ledger, "history", away)
    deliver(desk, note)
    monkeypatch.setattr(Quick, "release", release)

    desk.work(until=lambda: released)

    assert released[0] == 1.0
    assert _seen == []
    assert desk.broker.lock_size() == 0


def test_the_oftener_a_package_went_round_the_longer_it_waits(q_cluster: Configure) -> None:
    q_cluster(retry=20)

    waits = [past.patience(Lease("r", "", deliveries=n)) for n in (0, 1, 2, 3, 4, 100)]

    assert waits == [10, 10, 10, 20, 40, 640]


# What follows what was done already.


@pytest.mark.parametrize("is_ended", [False, True])
def test_what_may_have_been_sent_comes_late_unless_it_has_ended(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, is_ended: bool
) -> None:
    """Two copies of a chain would go on side by side to its end."""
    delays: list[float] = []

    def enqueue_many(self: Quick, tasks: Iterable[str], *, delay: float = 0.0, **_: int) -> Any:
        delays.append(delay)
        return Memory.enqueue_many(self, tasks, delay=delay)

    task_id, _ = deliver(desk, note, chain=["tests.site.tasks.noop"])
    done(task_id, took=2)
    if is_ended:
        done(derived_id(task_id, "chain"))
    monkeypatch.setattr(Quick, "enqueue_many", enqueue_many)

    desk.work(until=lambda: delays)

    assert _seen == []
    assert delays[0] == (0.0 if is_ended else pytest.approx(9.0, abs=0.1))


def done(task_id: str, took: float = 0.0) -> None:
    """Let the books have a success."""
    now = timezone.now()
    started = now - timedelta(seconds=took)
    Task.objects.create(id=task_id, name="n", func="f", started=started, stopped=now)


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
