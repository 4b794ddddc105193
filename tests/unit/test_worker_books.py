"""A worker that asks the books about a package that came before: they are away, or know it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any, NoReturn

import pytest
from django.utils import timezone

from django_q.brokers import Lease
from django_q.brokers.memory import Memory
from django_q.cluster import past
from django_q.enqueue import async_task
from django_q.exceptions import ResultsUnavailable
from django_q.models import Task
from django_q.package import derived_id
from django_q.results import gatherings, ledger
from django_q.results.database import DatabaseStore
from django_q.sealed import open_package
from django_q.stored import seal_value
from django_q.tasks import async_iter
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


def note() -> str:
    """Leave a trace."""
    _seen.append("ran")
    return "ran"


def deliver(desk: Desk, func: Any, **options: Any) -> str:
    """Enqueue a task as if it had been delivered before; give its id."""
    task_id = async_task(func, broker=desk.broker, **options)
    (lease,) = desk.broker.lease()
    desk.broker.release([str(lease.receipt)], counted=True)
    return str(task_id)


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

    task_id = deliver(desk, note, chain=["tests.site.tasks.noop"])
    done(task_id, took=2)
    if is_ended:
        done(derived_id(task_id, "chain"))
    monkeypatch.setattr(Quick, "enqueue_many", enqueue_many)

    desk.work(until=lambda: delays)

    assert _seen == []
    assert delays[0] == (0.0 if is_ended else pytest.approx(9.0, abs=0.1))


def test_a_part_that_is_kept_is_not_run_again(desk: Desk) -> None:
    """It has no row. On IronMQ nobody can acknowledge for a worker that died once it renewed."""
    async_iter(note, [(), ()], broker=desk.broker)
    first, second = desk.broker.lease(2)
    place = open_package(first.payload, "default")["gather"]
    gatherings.keep_parts([gatherings.Part(place[0], place[1], True, seal_value("kept"))])
    receipts = [str(lease.receipt) for lease in (first, second)]
    desk.broker.release(receipts, counted=True)

    desk.work(until=lambda: Task.objects.exists())

    assert _seen == ["ran"]
    assert sorted(Task.objects.get().result) == ["kept", "ran"]


def done(task_id: str, took: float = 0.0) -> None:
    """Let the books have a success."""
    now = timezone.now()
    started = now - timedelta(seconds=took)
    Task.objects.create(id=task_id, name="n", func="f", started=started, stopped=now)
