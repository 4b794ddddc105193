"""Tasks that follow others, or come from schedules, are seen from when they are sent."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, NoReturn

import pytest
from django.utils import timezone
from picklefield.fields import dbsafe_decode

from django_q.brokers.memory import Memory
from django_q.exceptions import BrokerUnavailable
from django_q.models import Gathering, Task, Tracked
from django_q.package import Outcome, build_package, derived_id
from django_q.recorder import make_stores, pack, prepare, record, unpack
from django_q.results.waiting import Waiting
from django_q.scheduler import Scheduler, run_now
from django_q.tasks import (
    async_chain,
    async_group,
    async_iter,
    async_task,
    cancel,
    schedule,
    task_status,
)
from tests.unit.desk import Desk, quick_desk

Configure = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("database")
NOOP = "tests.site.tasks.noop"
ADD = "tests.site.tasks.add"
TRACKED: dict[str, Any] = {"q_options": {"track": True}}


class Away(Memory):
    """Takes nothing."""

    def enqueue_many(self, tasks: Sequence[str], **options: Any) -> NoReturn:
        raise BrokerUnavailable("away")


@pytest.fixture
def desk(q_cluster: Configure) -> Iterator[Desk]:
    q_cluster()
    with quick_desk() as made:
        yield made


def make_outcome(**options: Any) -> Outcome:
    now = timezone.now()
    return Outcome(build_package(NOOP, (), {}, options), True, "done", now, now)


# What follows.


def test_a_link_is_seen_while_it_waits(desk: Desk) -> None:
    later = {"track": True, "delay": 60, "timeout": 5}
    async_chain([NOOP, (ADD, (1, 2), later), NOOP], "sums", broker=desk.broker)

    desk.work(until=Tracked.objects.exists)

    row, first = Tracked.objects.get(), Task.objects.get()
    assert row.pk == derived_id(first.pk, "chain")
    assert (row.func, row.state, row.group, row.queue) == (ADD, "scheduled", "sums", "default")
    assert dbsafe_decode(row.args) == (1, 2)
    assert timedelta(seconds=40) < row.run_at - timezone.now() <= timedelta(seconds=60)


def test_what_follows_a_task_can_be_cancelled_while_it_waits(desk: Desk) -> None:
    late = (NOOP, (), {"track": True, "delay": 60})
    first = async_task(ADD, 1, 2, on_success=late, broker=desk.broker)
    desk.work(until=Tracked.objects.exists)

    after = derived_id(first, "on_success")

    assert cancel(after) == "cancelled"
    assert task_status(after).state == "cancelled"  # type: ignore[union-attr]


def test_its_row_goes_with_its_own_end(desk: Desk) -> None:
    async_chain([NOOP, (ADD, (1, 2), TRACKED)], broker=desk.broker)

    desk.work(until=lambda: Task.objects.count() == 2)

    assert not Tracked.objects.exists()


def test_an_outcome_that_is_written_again_brings_no_row_back(q_cluster: Configure) -> None:
    q_cluster()
    _, made = prepare(make_outcome(on_success=(ADD, (1, 2), TRACKED)))
    made, stores = unpack(pack(made)), make_stores()
    for _ in range(2):
        record([made], stores)
    after = Tracked.objects.get()
    assert (after.func, after.state, after.args is None) == (ADD, "queued", False)

    # It has run since.
    Tracked.objects.all().delete()
    times = {"started": timezone.now(), "stopped": timezone.now()}
    Task.objects.create(id=after.pk, name="n", func=ADD, success=False, **times)
    record([made], stores)

    assert not Tracked.objects.exists()


def test_a_row_that_came_after_the_end_goes_when_the_task_comes_again(desk: Desk) -> None:
    task_id = async_task(ADD, 1, 2, track=True, broker=desk.broker)
    (lease,) = desk.broker.lease()
    desk.broker.release([str(lease.receipt)], counted=True)
    times = {"started": timezone.now(), "stopped": timezone.now()}
    Task.objects.create(id=task_id, name="n", func=ADD, **times)

    desk.work()

    assert not Tracked.objects.exists()


def test_without_the_option_there_is_no_row(desk: Desk) -> None:
    late = {"delay": 60}
    async_chain([NOOP, (ADD, (1, 2), late)], broker=desk.broker)

    desk.work(until=Task.objects.exists)

    assert not Tracked.objects.exists()


def test_in_place_nothing_is_followed(q_cluster: Configure) -> None:
    q_cluster(sync=True, track=True)

    async_chain([NOOP, (ADD, (1, 2)), NOOP])
    async_group([NOOP, NOOP], callback="builtins.len")

    assert not Tracked.objects.exists()


@pytest.mark.parametrize("database", ["default", "postgres"], indirect=True)
def test_a_row_that_is_refused_holds_nothing_up(
    database: str, q_cluster: Configure, caplog: pytest.LogCaptureFixture
) -> None:
    q_cluster()
    outcomes = [make_outcome(on_success=(ADD, (1, 2), TRACKED)) for _ in range(2)]
    (_, good), (_, bad) = map(prepare, outcomes)
    (after,) = bad.followers
    # A receiver of pre_enqueue may do that, or code of an older release.
    values = Waiting(*after.row)._replace(priority=10**30)
    bad = bad._replace(followers=(after._replace(row=tuple(values)),))

    record([good, bad], make_stores())

    assert [row.pk for row in Tracked.objects.all()] == [good.followers[0].task_id]
    assert Task.objects.count() == 2
    assert f"[{after.task_id}] is not followed while it waits" in caplog.text


# Groups and iterations.


@pytest.mark.parametrize("is_group", [True, False])
def test_what_collects_is_seen_from_the_start(q_cluster: Configure, is_group: bool) -> None:
    q_cluster(track=True)
    broker = Memory()

    if is_group:
        task_id = async_group([NOOP, NOOP], (ADD, (3,)), broker=broker).callback_id
    else:
        task_id = async_iter(ADD, [(1, 2), (3, 4)], broker=broker)

    assert task_status(str(task_id)).state == "queued"  # type: ignore[union-attr]
    assert Tracked.objects.count() == 3
    assert cancel(str(task_id)) == "cancelled"


# Schedules.


def test_the_task_of_a_schedule_is_seen_while_it_waits(q_cluster: Configure) -> None:
    q_cluster()
    broker = Memory()
    price = Decimal("1.50")
    for value, name in ((2, "plain"), (price, "sealed")):
        schedule(ADD, value, 1, name=name, **TRACKED)
    schedule(ADD, 3, 1)

    assert Scheduler(broker).run_due() == 3

    rows = {row.group: row for row in Tracked.objects.all()}
    assert {group: dbsafe_decode(row.args) for group, row in rows.items()} == {
        "plain": (2, 1),
        "sealed": (price, 1),
    }
    assert {(row.state, row.queue) for row in rows.values()} == {("queued", "default")}


def test_a_scheduled_task_that_cannot_be_sent_leaves_no_row(q_cluster: Configure) -> None:
    q_cluster()
    planned = schedule(ADD, 1, 2, **TRACKED)

    with pytest.raises(BrokerUnavailable):
        Scheduler(Away()).run_due()

    assert not Tracked.objects.exists()
    planned.refresh_from_db()
    assert planned.task is None


@pytest.mark.parametrize(
    "send",
    [
        lambda: async_iter(NOOP, [()], track=True, broker=Away()),
        lambda: async_group([NOOP], NOOP, track=True, broker=Away()),
    ],
    ids=["iteration", "group"],
)
def test_what_cannot_be_sent_is_not_waited_for(
    q_cluster: Configure, send: Callable[[], Any]
) -> None:
    q_cluster()

    with pytest.raises(BrokerUnavailable):
        send()

    assert not Tracked.objects.exists()
    assert not Gathering.objects.exists()


def test_a_schedule_that_is_run_at_once_is_followed_too(q_cluster: Configure) -> None:
    q_cluster(broker_class="django_q.brokers.memory.Memory")

    task_id = run_now(schedule(ADD, 1, 2, **TRACKED))

    assert task_status(task_id).state == "queued"  # type: ignore[union-attr]
