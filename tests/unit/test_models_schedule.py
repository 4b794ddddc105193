"""Schedules that know when they are due, whoever saves them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ValidationError
from django.test import override_settings
from django.utils import timezone

from django_q.conf import Conf
from django_q.models import Schedule, Task, validate_cron, validate_kwarg

pytestmark = pytest.mark.usefixtures("database")

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def make_schedule(**fields: Any) -> Schedule:
    return Schedule.objects.create(**{"func": "math.sqrt", "args": "4"} | fields)


def at(*face: int, zone: str = "UTC") -> datetime:
    return datetime(*face, tzinfo=ZoneInfo(zone))  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("schedule_type", "expected"),
    [
        (Schedule.MINUTES, at(2026, 3, 28, 9, 10)),
        (Schedule.HOURLY, at(2026, 3, 28, 10)),
        (Schedule.DAILY, at(2026, 3, 29, 9)),
        (Schedule.WEEKLY, at(2026, 4, 4, 9)),
        (Schedule.BIWEEKLY, at(2026, 4, 11, 9)),
        (Schedule.MONTHLY, at(2026, 4, 28, 9)),
        (Schedule.BIMONTHLY, at(2026, 5, 28, 9)),
        (Schedule.QUARTERLY, at(2026, 6, 28, 9)),
        (Schedule.YEARLY, at(2027, 3, 28, 9)),
    ],
)
def test_every_type_knows_its_next_run(schedule_type: str, expected: datetime) -> None:
    schedule = Schedule(schedule_type=schedule_type, minutes=10, next_run=at(2026, 3, 28, 9))

    assert schedule.calculate_next_run() == expected
    assert schedule.calculate_next_run(at(2026, 3, 28, 9)) == expected


def test_a_schedule_keeps_the_clock_of_its_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Conf, "TIME_ZONE", "Europe/Berlin")
    due = at(2026, 3, 28, 9, zone="Europe/Berlin")
    schedule = Schedule(schedule_type=Schedule.DAILY, next_run=due)

    assert schedule.calculate_next_run() == at(2026, 3, 29, 9, zone="Europe/Berlin")


def test_the_31st_comes_back_however_often_it_is_saved() -> None:
    schedule = make_schedule(schedule_type=Schedule.MONTHLY, next_run=at(2026, 1, 31, 9))
    found = []
    for _ in range(3):
        schedule = Schedule.objects.get(pk=schedule.pk)
        schedule.next_run = schedule.calculate_next_run()
        schedule.save(update_fields=["next_run"])
        found.append((schedule.next_run.month, schedule.next_run.day))

    assert found == [(2, 28), (3, 31), (4, 30)]


def test_the_31st_comes_back_for_a_row_of_an_old_producer_too() -> None:
    schedule = make_schedule(schedule_type=Schedule.MONTHLY, next_run=at(2026, 1, 31, 9))
    Schedule.objects.update(anchor=None)
    schedule = Schedule.objects.get(pk=schedule.pk)

    schedule.next_run = schedule.calculate_next_run()
    schedule.save()

    assert Schedule.objects.get(pk=schedule.pk).calculate_next_run() == at(2026, 3, 31, 9)


def test_a_next_run_that_was_moved_starts_anew() -> None:
    schedule = make_schedule(schedule_type=Schedule.MONTHLY, next_run=at(2026, 1, 31, 9))

    schedule.next_run = at(2026, 2, 10, 8)
    schedule.save()

    assert schedule.anchor == at(2026, 2, 10, 8)
    assert schedule.calculate_next_run() == at(2026, 3, 10, 8)


def test_what_was_missed_can_be_passed_over_in_one_step() -> None:
    schedule = Schedule(schedule_type=Schedule.MINUTES, minutes=1, next_run=at(1970, 1, 1))

    assert schedule.calculate_next_run(after=NOW) == NOW + timedelta(minutes=1)


def test_a_naive_next_run_is_read_in_the_projects_zone() -> None:
    schedule = Schedule(schedule_type=Schedule.DAILY, next_run=datetime(2026, 3, 28, 9))

    assert schedule.calculate_next_run() == at(2026, 3, 29, 9)


@override_settings(USE_TZ=False)
def test_a_project_without_time_zones_keeps_naive_times() -> None:
    schedule = Schedule(schedule_type=Schedule.DAILY, next_run=datetime(2026, 3, 28, 9))

    assert schedule.calculate_next_run() == datetime(2026, 3, 29, 9)
    schedule = Schedule(schedule_type=Schedule.CRON, cron="* * * * *")
    assert timezone.is_naive(schedule.calculate_next_run())


@override_settings(USE_TZ=False, TIME_ZONE="Asia/Tokyo")
def test_such_a_project_may_say_a_time_with_its_zone() -> None:
    schedule = Schedule(schedule_type=Schedule.DAILY, next_run=at(2026, 3, 28, 9))

    assert schedule.calculate_next_run() == datetime(2026, 3, 29, 18)


def test_once_does_not_repeat() -> None:
    with pytest.raises(ValueError, match="does not repeat"):
        Schedule(schedule_type=Schedule.ONCE).calculate_next_run()


def test_a_new_cron_schedule_is_due_at_its_first_match() -> None:
    schedule = make_schedule(schedule_type=Schedule.CRON, cron="0 12 * * *", next_run=NOW)

    assert schedule.next_run > timezone.now()
    assert (schedule.next_run.hour, schedule.next_run.minute) == (12, 0)


def test_a_changed_cron_expression_is_reckoned_anew() -> None:
    schedule = make_schedule(schedule_type=Schedule.CRON, cron="0 12 * * *")
    schedule = Schedule.objects.get(pk=schedule.pk)

    schedule.cron = "30 3 1 1 *"
    schedule.save()

    schedule.refresh_from_db()
    assert (schedule.next_run.month, schedule.next_run.hour, schedule.next_run.minute) == (1, 3, 30)


def test_a_changed_cron_expression_alone_takes_the_next_run_with_it() -> None:
    schedule = make_schedule(schedule_type=Schedule.CRON, cron="0 12 * * *")

    schedule.cron = "30 3 1 1 *"
    schedule.save(update_fields=["cron"])

    schedule.refresh_from_db()
    assert schedule.next_run.minute == 30


def test_a_type_changed_to_cron_is_reckoned_anew() -> None:
    schedule = make_schedule(schedule_type=Schedule.HOURLY, cron="30 3 1 1 *", next_run=NOW)

    schedule.schedule_type = Schedule.CRON
    schedule.save()

    assert schedule.next_run.minute == 30


def test_an_unchanged_cron_expression_leaves_the_next_run_alone() -> None:
    schedule = make_schedule(schedule_type=Schedule.CRON, cron="0 12 * * *")
    for kept in (schedule, Schedule.objects.get(), Schedule.objects.only("func").get()):
        kept.next_run = NOW
        kept.save()

        assert Schedule.objects.get().next_run == NOW


def test_a_cron_schedule_is_never_due_twice_at_one_match() -> None:
    schedule = Schedule(schedule_type=Schedule.CRON, cron="* * * * *")
    ahead = timezone.now().replace(second=0, microsecond=0) + timedelta(minutes=2)

    assert schedule.calculate_next_run(ahead) == ahead + timedelta(minutes=1)


@pytest.mark.parametrize("expression", ["* * * * *", "0 22 * * 1-5", "@hourly"])
def test_good_cron_expressions_are_accepted(expression: str) -> None:
    validate_cron(expression)


@pytest.mark.parametrize("expression", ["0 22 * * 1-12", "nonsense", "0 0 31 2 *"])
def test_bad_cron_expressions_are_refused(expression: str) -> None:
    with pytest.raises(ValidationError):
        validate_cron(expression)


def test_the_type_cron_needs_an_expression() -> None:
    with pytest.raises(ValidationError) as refused:
        Schedule(func="math.sqrt", schedule_type=Schedule.CRON).full_clean()

    assert list(refused.value.message_dict) == ["cron"]


@pytest.mark.parametrize("name", ["", "1st", "a b", "class", "a.b"])
def test_only_names_of_arguments_can_take_the_intended_date(name: str) -> None:
    validate_kwarg("intended_date")
    with pytest.raises(ValidationError):
        validate_kwarg(name)


def test_a_schedule_knows_how_its_last_task_went() -> None:
    schedule = make_schedule(name="nightly")
    assert schedule.success() is schedule.last_run() is None

    Task.objects.create(
        id="a" * 32, name="<b>", func="math.sqrt", started=NOW, stopped=NOW, success=False
    )
    schedule.task = "a" * 32

    assert schedule.success() is False
    link = schedule.last_run()
    assert link == f'<a href="/admin/django_q/failure/{schedule.task}/change/">[&lt;b&gt;]</a>'


def test_without_an_admin_the_last_run_is_only_a_name() -> None:
    schedule = make_schedule(task="a" * 32)
    Task.objects.create(id="a" * 32, name="<b>", func="math.sqrt", started=NOW, stopped=NOW)

    with override_settings(ROOT_URLCONF="django.contrib.auth.urls"):
        assert schedule.last_run() == "&lt;b&gt;"
