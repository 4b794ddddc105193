"""The tables as their users see them: lookups of tasks, rows of the queue and of the ledger."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_q import package, sealed, signing
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
)
from tests.site.tasks import RunsWhenOpened

pytestmark = pytest.mark.usefixtures("database")

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def make_task(result: Any = None, *, age: float = 0, **fields: Any) -> Task:
    name, task_id = uuid()
    stopped = NOW - timedelta(seconds=age)
    values = {"id": task_id, "name": name, "func": "math.sqrt", "args": (4,), "kwargs": {}}
    values |= {"started": stopped - timedelta(seconds=1.5), "stopped": stopped}
    return Task.objects.create(**values | {"result": result} | fields)


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


def test_a_group_is_found_by_an_index_that_tasks_without_one_are_not_in() -> None:
    if connection.vendor != "sqlite":
        pytest.skip("The plans of other databases go by the number of rows.")

    for tasks in (Task.get_task_group("night"), Task.get_task_group("night", failures=False)):
        assert "USING INDEX django_q_task_grouped" in tasks.order_by().explain()
    named = Task.objects.filter(success=True, group="night", name="good").order_by()
    assert "USING INDEX success_index" in named.explain()


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


# The queue's rows.


def seal(**fields: Any) -> str:
    built = package.build_package("math.sqrt", (4,), {"k": 1}, {"group": "g"} | fields)
    return sealed.seal_package(built, "default")


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
    payload = payload or signing.seal(RunsWhenOpened(getattr, "", "nowhere"), "task", "default")
    row = OrmQ(key="default", payload=payload)

    assert row.task == {"id": name}
    assert row.func() is row.name() is row.args() is None


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

    assert OrmQ.objects.create(key="a", payload="c").pk > 2**40


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
