"""`delay`, `run_at` and `priority`: what they may say, and where a package goes that has them."""

import datetime
from collections.abc import Callable, Iterator
from datetime import UTC, timedelta
from typing import Any

import pytest
from django.test import override_settings
from django.utils import timezone

from django_q.brokers import shared_broker
from django_q.brokers.memory import Memory
from django_q.exceptions import PackageError
from django_q.models import Delayed, Gathering
from django_q.scheduler import scheduler
from django_q.sealed import open_package
from django_q.tasks import (
    async_chain,
    async_group,
    async_iter,
    async_task,
    async_tasks,
    result,
    schedule,
)

Configure = Callable[..., Any]
NOOP = "tests.site.tasks.noop"


class Noted(Memory):
    """Notes how it was called."""

    calls: tuple[tuple[int, float, int], ...] = ()

    def enqueue_many(self, tasks: Any, *, delay: float = 0.0, priority: int = 0) -> list[str]:
        """Note delay and priority."""
        payloads = list(tasks)
        self.calls += ((len(payloads), round(delay), priority),)
        return super().enqueue_many(payloads, delay=delay, priority=priority)


class Plain(Memory):
    """Knows neither."""

    can_delay = can_prioritise = False


class Brief(Memory):
    """Holds back for a minute."""

    max_delay = 60.0


@pytest.fixture
def queue(request: pytest.FixtureRequest, database: str, q_cluster: Configure) -> Iterator[Any]:
    """The broker of a project, empty; its class may be given."""
    kind = getattr(request, "param", Noted)
    q_cluster(broker_class=f"{__name__}.{kind.__name__}")
    yield shared_broker()
    shared_broker().purge_queue()


on = pytest.mark.parametrize


# What they may say.


@on("delay", [-1, "soon", True, float("nan"), float("inf"), 2e9, timedelta(seconds=-1)])
def test_a_delay_that_is_none_is_refused(queue: Any, delay: Any) -> None:
    with pytest.raises(PackageError, match="^delay is .*give seconds from 0"):
        async_task(NOOP, delay=delay)


@on("run_at", [60, "2030-01-01", datetime.date(2030, 1, 1)])
def test_a_moment_that_is_none_is_refused(queue: Any, run_at: Any) -> None:
    with pytest.raises(PackageError, match="^run_at is .*give a datetime"):
        async_task(NOOP, run_at=run_at)


def test_a_moment_too_far_away_is_refused(queue: Any) -> None:
    with pytest.raises(PackageError, match="thirty years"):
        async_task(NOOP, run_at=timezone.now() + timedelta(days=20_000))


@on("call", [async_task, lambda func, **options: async_tasks(func, [()], **options)])
def test_two_times_are_refused(queue: Any, call: Any) -> None:
    with pytest.raises(PackageError, match="Give one of them"):
        call(NOOP, delay=1, run_at=timezone.now())


@on("priority", [101, -101, 1.0, "high", True])
def test_a_priority_that_is_none_is_refused(queue: Any, priority: Any) -> None:
    with pytest.raises(PackageError, match="whole number from -100 to 100"):
        async_task(NOOP, priority=priority)


# What is sent.


def test_a_delay_becomes_a_moment_in_the_package(queue: Any) -> None:
    before = timezone.now()

    async_task(NOOP, delay=timedelta(minutes=1))

    assert queue.calls == ((1, 60, 0),)
    (entry,) = queue._entries.values()
    package = open_package(entry.payload, queue.list_key)
    assert timedelta() <= package["run_at"] - before - timedelta(minutes=1) < timedelta(seconds=5)
    assert "delay" not in package
    assert not package["kwargs"]


@on("run_at", [datetime.datetime(2020, 1, 1), datetime.datetime(2020, 1, 1, tzinfo=UTC)])
def test_a_moment_that_is_past_is_now(queue: Any, run_at: datetime.datetime) -> None:
    async_task(NOOP, run_at=run_at)

    assert queue.queue_size() == 1


def test_a_naive_moment_is_of_the_current_time_zone(queue: Any) -> None:
    with timezone.override("Pacific/Kiritimati"):  # UTC+14
        naive = timezone.make_naive(timezone.now()) + timedelta(seconds=100)
        async_task(NOOP, run_at=naive)

    assert [delay for _, delay, _ in queue.calls] in ([99], [100])


@override_settings(USE_TZ=False)
def test_a_project_without_time_zones_may_give_either(queue: Any) -> None:
    soon = datetime.datetime.now() + timedelta(seconds=100)

    async_task(NOOP, run_at=soon)
    async_task(NOOP, run_at=soon.astimezone())

    assert {delay for _, delay, _ in queue.calls} <= {99, 100}


def test_many_with_one_delay_go_in_one_call(queue: Any) -> None:
    async_tasks(NOOP, [()] * 20, delay=30, priority=-2)

    assert queue.calls == ((20, 30, -2),)


def test_a_task_in_place_does_not_wait(queue: Any) -> None:
    task_id = async_task("tests.site.tasks.add", 1, 2, delay=3600, priority=5, sync=True)

    assert result(task_id) == 3
    assert not queue.calls


def test_a_link_of_a_chain_is_sent_with_its_options(queue: Any) -> None:
    async_chain([(NOOP, (), {"q_options": {"priority": 3, "delay": 5}}), NOOP])

    assert queue.calls == ((1, 5, 3),)


def test_a_schedule_sends_with_its_options(queue: Any) -> None:
    schedule(NOOP, q_options={"priority": 9, "delay": 5}, next_run=timezone.now())

    scheduler(queue)

    assert queue.calls == ((1, 5, 9),)


# Where the broker cannot.


@on("queue", [Plain], indirect=True)
def test_a_priority_that_the_broker_does_not_know_is_refused(queue: Any) -> None:
    with pytest.raises(PackageError, match=r"(?s)the broker Plain .*\"queues\"\]"):
        async_task(NOOP, priority=1)

    async_task(NOOP, priority=0)
    assert queue.queue_size() == 1


@on("queue", [Plain], indirect=True)
def test_what_the_broker_cannot_hold_back_is_kept_in_the_database(queue: Any) -> None:
    task_id = async_task(NOOP, delay=60)

    row = Delayed.objects.get()
    assert (row.task, row.queue, queue.queue_size()) == (task_id, queue.list_key, 0)
    assert abs((row.due - timezone.now()).total_seconds() - 60) < 5
    package = open_package(row.payload, row.queue)
    assert package["derived"]


@on("queue", [Brief], indirect=True)
def test_what_waits_for_longer_than_the_broker_can_is_kept_in_the_database(queue: Any) -> None:
    async_task(NOOP, delay=50, priority=7)
    async_task(NOOP, delay=70, priority=7)

    assert Delayed.objects.get().priority == 7
    assert len(queue._entries) == 1


def test_a_subclass_that_writes_only_enqueue_knows_neither() -> None:
    class Old(Memory):
        def enqueue(self, task: str) -> str:
            return super().enqueue(task)

    assert (Old.can_delay, Old.can_prioritise) == (False, False)


@on("queue", [Plain], indirect=True)
@on(
    "send",
    [
        lambda urgent: async_chain([NOOP, urgent]),
        lambda urgent: async_task(NOOP, on_success=urgent),
        lambda urgent: async_group([NOOP], callback=urgent),
        lambda urgent: async_group([urgent]),
        lambda urgent: async_iter(NOOP, [1], priority=1),
    ],
)
def test_what_follows_is_refused_for_its_priority_too(queue: Any, send: Any) -> None:
    with pytest.raises(PackageError, match="priority is 1, and the broker Plain"):
        send((NOOP, (), {"q_options": {"priority": 1}}))

    assert queue.queue_size() == 0
    assert not Gathering.objects.exists()


def test_what_collects_has_the_priority_of_the_whole(queue: Any) -> None:
    async_iter(NOOP, [1, 2], priority=4)

    assert queue.calls == ((2, 0, 4),)
    assert (Gathering.objects.get().priority, Gathering.objects.get().run_at) == (4, None)
