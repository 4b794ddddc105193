"""The tables as their users see them: lookups of tasks, schedules that say when, the queue's rows."""

import pickle
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_q import package, signing
from django_q.conf import Conf
from django_q.humanhash import uuid
from django_q.models import (
    Failure,
    Heartbeat,
    Ledger,
    OrmQ,
    Rejected,
    Schedule,
    Success,
    Task,
    validate_cron,
    validate_kwarg,
)

pytestmark = pytest.mark.usefixtures("database")

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def make_task(result: Any = None, *, age: float = 0, **fields: Any) -> Task:
    name, task_id = uuid()
    stopped = NOW - timedelta(seconds=age)
    values = {"id": task_id, "name": name, "func": "math.sqrt", "args": (4,), "kwargs": {}}
    values |= {"started": stopped - timedelta(seconds=1.5), "stopped": stopped}
    return Task.objects.create(**values | {"result": result} | fields)


def make_schedule(**fields: Any) -> Schedule:
    return Schedule.objects.create(**{"func": "math.sqrt", "args": "4"} | fields)


def at(*face: int, zone: str = "UTC") -> datetime:
    return datetime(*face, tzinfo=ZoneInfo(zone))  # type: ignore[arg-type, misc]


# Tasks.


def test_a_task_is_found_by_id_and_by_name() -> None:
    task = make_task(2.0, name="root of four")

    assert Task.get_task(task.id) == Task.get_task("root of four") == task
    assert Task.get_result(task.id) == Task.get_result("root of four") == 2.0


def test_a_task_that_does_not_exist_is_none() -> None:
    assert Task.get_task("0" * 32) is None
    assert Task.get_result("nobody") is None


def test_of_several_tasks_with_one_name_the_newest_is_meant() -> None:
    make_task("old", name="nightly", age=60)
    newest = make_task("new", name="nightly", age=1)
    make_task("older", name="nightly", age=120)

    assert Task.get_task("nightly") == newest
    assert Task.get_result("nightly") == "new"


def test_a_name_may_be_as_long_as_an_id() -> None:
    task = make_task(1, name="x" * 32)

    assert Task.get_task("x" * 32) == task


def test_a_result_of_none_does_not_lead_to_a_namesake() -> None:
    task = make_task(None)
    make_task("another", name=task.id)

    assert Task.get_result(task.id) is None


def test_a_result_is_looked_up_without_the_arguments() -> None:
    task = make_task(2.0)

    with CaptureQueriesContext(connection_of(task)) as queries:
        Task.get_result(task.id)

    assert len(queries) == 1
    assert "args" not in queries[0]["sql"]


def connection_of(task: Task) -> Any:
    assert task._state.db == connection.alias
    return connection


def test_a_group_gives_rows_and_values_newest_first() -> None:
    good = make_task("good", group="night", age=1)
    bad = make_task("bad", group="night", success=False)
    make_task("other", group="day")

    assert list(Task.get_task_group("night")) == [bad, good]
    assert list(Task.get_task_group("night", failures=False)) == [good]
    assert list(Task.get_result_group("night")) == ["good"]
    assert list(Task.get_result_group("night", failures=True)) == ["bad", "good"]
    assert list(good.group_result(failures=True)) == ["bad", "good"]


def test_a_group_is_counted() -> None:
    task = make_task(group="night")
    make_task(group="night", success=False)

    assert Task.get_group_count("night") == task.group_count() == 2
    assert Task.get_group_count("night", failures=True) == task.group_count(failures=True) == 1


def test_a_group_loses_its_label_or_its_rows() -> None:
    first, second = make_task(group="night"), make_task(group="night")

    assert first.group_delete() == 2
    assert Task.objects.filter(group=None).count() == 2
    Task.objects.update(group="night")
    assert Task.delete_group("night", objects=True) == (2, {"django_q.Task": 2})
    assert not Task.objects.filter(pk__in=[first.pk, second.pk]).exists()


def test_a_task_without_a_group_has_no_group_results() -> None:
    task = make_task()

    assert task.group_result() is task.group_count() is task.group_delete() is None


def test_successes_and_failures_are_kept_apart() -> None:
    good, bad = make_task(), make_task(success=False)

    assert [task.pk for task in Success.objects.all()] == [good.pk]
    assert [task.pk for task in Failure.objects.all()] == [bad.pk]


def test_the_time_taken_is_that_of_the_run() -> None:
    assert make_task(enqueued=NOW - timedelta(hours=1)).time_taken() == 1.5


def test_a_task_is_shown_by_its_name_or_else_its_id() -> None:
    task = Task(id="a" * 32, name="four words")

    assert str(task) == "four words"
    task.name = ""
    assert str(task) == "a" * 32


@pytest.mark.parametrize("value", [None, "text", (1, {"a": [2]}), NOW, len, Schedule])
def test_results_of_any_kind_come_back(value: Any) -> None:
    task = make_task(value)

    assert Task.objects.get(pk=task.pk).result == value


# Schedules.


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
    for schedule in (schedule, Schedule.objects.get(), Schedule.objects.only("func").get()):
        schedule.next_run = NOW
        schedule.save()

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

    schedule.task = make_task(name="<b>", success=False).pk

    assert schedule.success() is False
    link = schedule.last_run()
    assert link == f'<a href="/admin/django_q/failure/{schedule.task}/change/">[&lt;b&gt;]</a>'


# The queue's rows.


def seal(**fields: Any) -> str:
    built = package.build_package("math.sqrt", (4,), {"k": 1}, {"group": "g"} | fields)
    return package.seal_package(built, "default")


def test_a_queued_package_can_be_looked_into() -> None:
    row = OrmQ(key="default", payload=seal(task_name="root", timeout=5))

    assert (row.name(), row.func(), row.group()) == ("root", "math.sqrt", "g")
    assert (row.args(), row.kwargs()) == ((4,), {"k": 1})
    assert row.q_options()["timeout"] == 5
    assert len(row.task_id()) == 32


def test_a_package_of_django_q2_can_be_looked_into() -> None:
    built = package.build_package(len, ("x",), {}, {})
    row = OrmQ(key="default", payload=signing.SignedPackage.dumps(built))

    assert row.func() == "builtins.len"


@pytest.mark.parametrize(
    ("payload", "name"), [("nonsense", "*BadSignature"), (None, "*AttributeError")]
)
def test_a_package_that_cannot_be_opened_shows_the_error(payload: str | None, name: str) -> None:
    payload = payload or signing.seal({"id": Vanishing()}, "task", "default")
    row = OrmQ(key="default", payload=payload)

    assert row.task == {"id": name}
    assert row.func() is row.name() is row.args() is None


class Vanishing:
    """Pickles as an attribute of a module that is not there."""

    def __reduce__(self) -> Any:
        return getattr, (pickle, "nowhere")


def test_a_package_for_another_queue_is_not_opened() -> None:
    assert OrmQ(key="other", payload=seal()).task_id() == "*BadSignature"


def test_a_row_of_an_old_producer_waits_undelivered(database: str) -> None:
    with connection.cursor() as cursor:
        key = connection.ops.quote_name("key")
        cursor.execute(f"INSERT INTO django_q_ormq ({key}, payload) VALUES ('a', 'b')")  # noqa: S608

    row = OrmQ.objects.get()
    assert (row.deliveries, row.token, row.lock) == (0, None, None)


def test_numbers_in_the_queue_do_not_run_out() -> None:
    OrmQ.objects.create(pk=2**40, key="a", payload="b")

    assert OrmQ.objects.create(key="a", payload="c").pk == 2**40 + 1


def test_ledger_heartbeat_and_rejected_show_their_keys() -> None:
    assert str(Ledger(key="a")) == str(Heartbeat(key="a")) == "a"
    assert str(Rejected(pk=7, queue="q")) == str(OrmQ(pk=7, key="q")) == "q 7"


def test_a_ledger_entry_starts_empty() -> None:
    entry = Ledger.objects.create(key="a")

    assert (entry.deaths, entry.lapses, entry.verdict, entry.reason) == (0, 0, None, "")
    assert entry.updated is not None


def test_the_digest_tells_queues_and_payloads_apart() -> None:
    digests = {Rejected.digest_of(*pair) for pair in (("a", "bc"), ("ab", "c"), ("a", "bd"))}

    assert len(digests) == 3
    assert {len(digest) for digest in digests} == {64}
    assert Rejected.digest_of("a", "\udcff")
