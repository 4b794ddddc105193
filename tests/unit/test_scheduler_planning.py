"""Planning: `schedule` in code, and names that are unique."""

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connections
from django.utils import timezone

from django_q.exceptions import PackageError
from django_q.models import Ledger, Schedule
from django_q.tasks import schedule
from tests.site import databases, tasks
from tests.unit.planned import MEMORY, Configure

ECHO = "tests.site.tasks.echo"
everywhere = pytest.mark.parametrize("database", databases.ALIASES, indirect=True)


@pytest.fixture(autouse=True)
def settings(database: str, q_cluster: Configure) -> Configure:
    q_cluster(broker_class=MEMORY)
    return q_cluster


# In code.


def test_what_is_the_schedules_is_told_from_what_is_the_functions() -> None:
    made = schedule(
        *(ECHO, 1, 2),
        **{"name": "n", "hook": "a.b", "schedule_type": "I", "minutes": 5, "repeats": 3},
        **{"cluster": "other", "intended_date_kwarg": "when", "catch_up": False},
        **{"color": "red", "q_options": {"timeout": 5}},
    )

    made = Schedule.objects.get(pk=made.pk)
    assert (made.name, made.hook, made.minutes, made.repeats) == ("n", "a.b", 5, 3)
    assert (made.cluster, made.intended_date_kwarg, made.catch_up) == ("other", "when", False)
    assert (made.args, made.kwargs) == ("(1, 2)", "{'color': 'red', 'q_options': {'timeout': 5}}")


def test_the_defaults_are_once_and_now() -> None:
    made = schedule(ECHO)

    assert (made.schedule_type, made.repeats) == (Schedule.ONCE, -1)
    assert abs(made.next_run - timezone.now()) < timedelta(seconds=5)


def test_seconds_are_the_schedules_only_with_their_type() -> None:
    assert schedule(ECHO, schedule_type="S", seconds=5).seconds == 5
    assert schedule(ECHO, seconds=5).kwargs == "{'seconds': 5}"


def test_functions_may_be_given_themselves() -> None:
    made = schedule(tasks.echo, hook=tasks.write_hook)

    assert (made.func, made.hook) == (ECHO, "tests.site.tasks.write_hook")


def test_a_cron_expression_tells_the_type() -> None:
    made = schedule(ECHO, cron="30 4 * * *")

    assert made.schedule_type == Schedule.CRON
    assert made.next_run.minute == 30


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"cron": "nonsense"}, ValidationError),
        ({"schedule_type": "S"}, ValidationError),
        ({"schedule_type": "S", "seconds": 0}, ValidationError),
        ({"schedule_type": "Z"}, ValidationError),
        ({"name": "x" * 101}, ValidationError),
        ({"q_options": 5}, PackageError),
        ({"update_by_name": True}, ValueError),
    ],
)
def test_what_cannot_be_planned_is_told_and_not_saved(
    values: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        schedule(ECHO, **values)

    assert not Schedule.objects.exists()


@pytest.mark.parametrize("name", ["1st", "a b", "class"])
def test_d28_what_cannot_be_a_keyword_is_refused_as_one(name: str) -> None:
    with pytest.raises(ValidationError, match="cannot be the name of an argument"):
        schedule(ECHO, intended_date_kwarg=name)


@pytest.mark.parametrize("func", ["nothing", lambda: 0, 5])
def test_a_function_that_no_worker_finds_is_told(func: Any) -> None:
    with pytest.raises(PackageError):
        schedule(func)


# Names.


def test_a_name_that_is_taken_is_refused() -> None:
    schedule(ECHO, name="mine")

    with pytest.raises(IntegrityError, match="mine"):
        schedule(ECHO, name="mine")

    schedule(ECHO)
    schedule(ECHO)
    assert Schedule.objects.count() == 3
    assert not Ledger.objects.exists()


@everywhere
def test_two_who_plan_the_same_at_the_same_moment_make_one(database: str) -> None:
    found: list[str] = []
    barrier = threading.Barrier(2)

    def plan() -> None:
        try:
            barrier.wait()
            schedule(ECHO, name="mine")
            found.append("made")
        except IntegrityError:
            found.append("taken")
        finally:
            connections.close_all()

    for _ in range(5):
        threads = [threading.Thread(target=plan) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert Schedule.objects.count() == 1
        Schedule.objects.all().delete()

    assert sorted(found) == ["made"] * 5 + ["taken"] * 5


def test_a_schedule_is_updated_by_its_name() -> None:
    made = schedule(ECHO, 1, name="mine", schedule_type="H", update_by_name=True)

    updated = schedule(ECHO, 2, name="mine", schedule_type="H", update_by_name=True)

    assert (updated.pk, updated.args) == (made.pk, "(2,)")
    assert Schedule.objects.get().next_run == made.next_run


def test_an_update_that_says_nothing_new_does_nothing() -> None:
    plan = {"name": "mine", "schedule_type": "H", "repeats": 5, "update_by_name": True}
    made = schedule(ECHO, **plan)
    Schedule.objects.update(repeats=3, enabled=False)

    schedule(ECHO, **plan)

    after = Schedule.objects.get(pk=made.pk)
    assert (after.repeats, after.enabled, after.next_run) == (3, False, made.next_run)


def test_a_changed_interval_counts_from_now() -> None:
    made = schedule(ECHO, name="mine", schedule_type="D", update_by_name=True)
    Schedule.objects.update(next_run=made.next_run + timedelta(hours=20))

    schedule(ECHO, name="mine", schedule_type="I", minutes=5, update_by_name=True)

    after = Schedule.objects.get()
    assert timedelta(0) < after.next_run - timezone.now() <= timedelta(minutes=5)


def test_a_first_time_that_has_passed_is_not_run_again() -> None:
    first = datetime(2026, 1, 31, 9, tzinfo=timezone.get_current_timezone())
    plan = {"name": "mine", "next_run": first, "update_by_name": True}
    schedule(ECHO, schedule_type="M", **plan)
    Schedule.objects.update(next_run=datetime(2050, 2, 28, 9, tzinfo=first.tzinfo))

    schedule(ECHO, 1, schedule_type="M", **plan)
    assert Schedule.objects.get().next_run.year == 2050
    schedule(ECHO, 1, schedule_type="W", **plan)
    moved = Schedule.objects.get().next_run
    assert timedelta(0) < moved - timezone.now() <= timedelta(weeks=1)
    assert (moved - first) % timedelta(weeks=1) == timedelta(0)
