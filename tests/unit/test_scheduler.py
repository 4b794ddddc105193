"""The scheduler: what is due is enqueued, and moves on."""

from datetime import timedelta

import pytest
from django.utils import timezone

from django_q.brokers import get_broker
from django_q.models import OrmQ, Schedule
from django_q.scheduler import run_now, scheduler
from tests.site import databases
from tests.unit.planned import NOW, Configure, make, run, sent

everywhere = pytest.mark.parametrize("database", databases.ALIASES, indirect=True)


@pytest.fixture(autouse=True)
def orm(database: str, q_cluster: Configure) -> str:
    """Packages in the database of the schedules."""
    q_cluster(orm=database)
    return database


@everywhere
def test_what_is_due_is_enqueued_once_and_moves_on(database: str) -> None:
    schedule = make(name="nightly", hook="app.hook")
    ahead = make(next_run=NOW + timedelta(seconds=1))

    (package,) = run()

    assert (package["func"], package["args"], package["kwargs"]) == ("math.sqrt", (4,), {})
    assert (package["group"], package["hook"]) == ("nightly", "app.hook")
    before, schedule = schedule, Schedule.objects.get(pk=schedule.pk)
    assert schedule.next_run == before.next_run + timedelta(hours=1)
    assert schedule.task == package["id"]
    assert run() == []
    assert Schedule.objects.get(pk=ahead.pk).task is None


@everywhere
def test_once_goes_when_it_may_and_stays_done_when_it_counts(database: str) -> None:
    make(schedule_type="O")
    counted = make(schedule_type="O", repeats=1)

    assert len(run()) == 2
    assert run() == []
    assert list(Schedule.objects.values_list("pk", "repeats")) == [(counted.pk, 0)]


def test_repeats_count_down_to_nothing() -> None:
    schedule = make(repeats=2, schedule_type="I", minutes=1)

    for _ in range(4):
        run(now=NOW + timedelta(days=1), missed=0)

    assert Schedule.objects.get(pk=schedule.pk).repeats == 0
    assert schedule.repeats == 2


@pytest.mark.parametrize("repeats", [-1, -5])
def test_a_negative_number_of_repeats_has_no_end(repeats: int) -> None:
    schedule = make(repeats=repeats)

    run()

    assert Schedule.objects.get(pk=schedule.pk).repeats == repeats


def test_without_a_name_the_group_is_the_id() -> None:
    schedule = make()

    assert run()[0]["group"] == str(schedule.pk)


def test_options_reach_the_task() -> None:
    make(kwargs="{'q_options': {'timeout': 7, 'task_name': 'mine', 'group': 'g'}, 'x': 1}")
    make(kwargs="{'save': False, 'sync': True}")

    first, second = run()

    assert (first["timeout"], first["name"], first["group"]) == (7, "mine", "g")
    assert first["kwargs"] == {"x": 1}
    assert (second["save"], second["kwargs"]) == (False, {})
    assert "sync" not in second


def test_the_due_time_is_handed_over_where_it_is_asked_for() -> None:
    make(intended_date_kwarg="when", kwargs="x=1")

    assert run()[0]["kwargs"] == {"x": 1, "when": "2026-06-03T11:59:59+00:00"}


def test_sub_minute_schedules_keep_their_grid() -> None:
    schedule = make(schedule_type="S", seconds=10, next_run=NOW - timedelta(seconds=3))

    assert len(run()) == 1
    assert Schedule.objects.get(pk=schedule.pk).next_run == NOW + timedelta(seconds=7)


def test_what_is_paused_done_or_without_a_time_does_not_run() -> None:
    for columns in ({"enabled": False}, {"repeats": 0}, {"next_run": None}):
        make(**columns)

    assert run() == []


def test_a_cluster_runs_only_what_is_its_own(q_cluster: Configure) -> None:
    make(name="none")
    make(name="empty", cluster="")
    make(name="default", cluster="default")
    make(name="other", cluster="other")

    assert {package["group"] for package in run()} == {"none", "empty", "default"}
    q_cluster(orm="default", cluster_name="other")
    (package,) = run()
    assert (package["group"], package["cluster"]) == ("other", "other")


@pytest.mark.parametrize("option", ["cluster", "broker_name"])
def test_a_schedule_may_send_its_task_elsewhere(option: str) -> None:
    make(kwargs=f"{{'q_options': {{'{option}': 'other'}}}}")

    assert run() == []
    (package,) = sent(get_broker("other"))
    assert package["cluster"] == "other"


def test_the_old_function_enqueues_one_round(database: str) -> None:
    make(schedule_type="I", minutes=1, next_run=timezone.now() - timedelta(hours=1))

    scheduler(broker=get_broker())

    assert OrmQ.objects.count() == 1


def test_a_schedule_can_be_run_beside_its_times() -> None:
    schedule = make(name="n", next_run=NOW + timedelta(days=1), intended_date_kwarg="when")

    ids = [run_now(schedule), run_now(schedule)]

    packages = sent()
    assert [package["id"] for package in packages] == ids
    assert len(set(ids)) == 2
    assert packages[0]["kwargs"]["when"] != packages[1]["kwargs"]["when"]
    schedule.refresh_from_db()
    assert (schedule.task, schedule.next_run) == (ids[1], NOW + timedelta(days=1))
