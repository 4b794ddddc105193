"""Records into the books: rows before acknowledgements, and hooks after both."""

from collections.abc import Collection, Iterator
from datetime import timedelta
from typing import Any, NoReturn

import pytest
from django.core.cache import caches
from django.db.models.signals import post_save
from django.utils import timezone

from django_q import signals
from django_q.brokers import Lease
from django_q.exceptions import ResultsUnavailable
from django_q.models import Task
from django_q.package import Outcome, build_package
from django_q.recorder import Record, announce, as_task, make_stores, prepare, record
from django_q.results.database import DatabaseStore
from django_q.results.lookup import fetch_cached
from django_q.soft_limit import NoLimit
from tests.site import tasks

pytestmark = pytest.mark.usefixtures("database")

_hooked: list[Any] = []


def finished(result: Any = "done", success: bool = True, **options: Any) -> Outcome:
    package = build_package("tests.site.tasks.echo", (1,), {"two": 2}, options)
    now = timezone.now()
    return Outcome(package, success, result, now, now, None if success else ValueError(result))


def prepared(*args: Any, **options: Any) -> Record:
    return prepare(finished(*args, **options))[1]


def refuse(others: object) -> NoReturn:
    raise LookupError("the broker fails")


# Rows.


def test_who_acknowledges_is_told_what_ran_twice() -> None:
    first = prepared()
    again = first._replace(row=first.row and first.row._replace(worker="elsewhere"))
    assert again.row is not None
    again = again._replace(row=again.row._replace(stopped=again.row.stopped + timedelta(1)))
    told: list[Collection[str]] = []

    for done in (first, again):
        record([done], make_stores(), told.append)

    assert told == [[], [again.row.id]]


def test_rows_are_there_before_the_acknowledgement() -> None:
    seen: list[bool] = []

    record([prepared()], make_stores(), lambda others: seen.append(Task.objects.exists()))

    assert seen == [True]
    task = Task.objects.get()
    assert (task.func, task.result) == ("tests.site.tasks.echo", "done")
    assert (task.args, task.kwargs) == ((1,), {"two": 2})


def test_rows_and_acknowledgement_are_one_transaction_where_they_can_be() -> None:
    with pytest.raises(LookupError):
        record([prepared()], make_stores(), refuse, broker_alias="default")

    assert not Task.objects.exists()


def test_rows_stay_where_the_broker_is_elsewhere() -> None:
    with pytest.raises(LookupError):
        record([prepared()], make_stores(), refuse, broker_alias=None)

    assert Task.objects.exists()


def test_nothing_is_acknowledged_when_nothing_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: Any) -> NoReturn:
        raise ResultsUnavailable("away")

    monkeypatch.setattr(DatabaseStore, "save", away)
    acknowledged: list[str] = []

    with pytest.raises(ResultsUnavailable):
        record([prepared()], make_stores(), lambda others: acknowledged.append("too early"))

    assert acknowledged == []


def test_what_is_recorded_already_is_only_acknowledged() -> None:
    seen: list[str] = []

    record([Record(None, "receipt")], make_stores(), lambda others: seen.append("acknowledged"))

    assert seen == ["acknowledged"]
    assert not Task.objects.exists()


def test_the_second_of_two_successes_is_dropped_with_a_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = finished("first")
    second = first._replace(result="second", stopped=timezone.now())

    for outcome in (first, second):
        record([prepare(outcome)[1]], make_stores())

    assert Task.objects.get().result == "first"
    assert f"[{first.package['id']}] ran twice" in caplog.text


def test_a_cached_result_is_in_the_cache_only() -> None:
    outcome = finished({"a": 1}, cached=True)

    record([prepare(outcome)[1]], make_stores())

    found = fetch_cached(outcome.package["id"])
    assert found is not None and found.result == {"a": 1}
    assert not Task.objects.exists()
    caches["default"].clear()


def test_unicode_and_megabytes_are_kept() -> None:
    record([prepared("ü\0\ud800😀"), prepared(bytes(10 * 2**20))], make_stores())

    assert {len(task.result) for task in Task.objects.all()} == {4, 10 * 2**20}


# Hooks and receivers.


def note(task: Task) -> None:
    """Remember what a hook was called with."""
    _hooked.append(task)


@pytest.fixture(autouse=True)
def hooked() -> Iterator[list[Any]]:
    _hooked.clear()
    yield _hooked


def announced(**options: Any) -> Outcome:
    outcome, made = prepare(finished(**options))
    record([made], make_stores())
    assert made.is_awaited
    announce(outcome, made, NoLimit())
    return outcome


def test_a_hook_gets_the_task_as_it_was_kept(hooked: list[Task]) -> None:
    announced(hook=note, group="g")

    (task,) = hooked
    kept = Task.objects.get()
    assert task == kept
    assert (task.result, task.args, task.kwargs, task.group) == ("done", (1,), {"two": 2}, "g")
    assert (task.started, task.stopped) == (kept.started, kept.stopped)


def test_a_hook_may_change_and_save_the_task(hooked: list[Task]) -> None:
    announced(hook=note)

    hooked[0].name = "another"
    hooked[0].save()

    assert Task.objects.get().name == "another"


@pytest.mark.parametrize("options", [{"save": False}, {"cached": True}])
def test_a_hook_is_called_for_what_no_table_keeps(hooked: list[Task], options: Any) -> None:
    announced(hook=f"{__name__}.note", **options)

    assert [task.result for task in hooked] == ["done"]
    caches["default"].clear()


def test_of_a_task_that_comes_back_only_the_last_run_calls_the_hook(
    hooked: list[Task], q_cluster: Any
) -> None:
    q_cluster(ack_failures=False, max_attempts=3)

    for delivery, calls in ((1, 0), (2, 0), (3, 1)):
        lease = Lease(f"receipt {delivery}", "payload", deliveries=delivery)
        outcome, made = prepare(finished("no", success=False, hook=note), lease)
        announce(outcome, made, NoLimit())

        assert len(hooked) == calls
    outcome, made = prepare(finished("no", success=False, hook=note))  # in place
    announce(outcome, made, NoLimit())
    assert len(hooked) == 2


@pytest.mark.parametrize(
    "hook", ["tests.site.tasks.failing_hook", "tests.site.tasks.missing", tasks.leave]
)
def test_a_hook_that_fails_only_leaves_a_line(hook: Any, caplog: pytest.LogCaptureFixture) -> None:
    outcome = announced(hook=hook)

    assert f"The hook of {outcome.package['name']}" in caplog.text
    assert Task.objects.get().success


def test_receivers_hear_of_the_settled_task() -> None:
    heard: list[Any] = []

    def receive(task: Any, **arguments: Any) -> None:
        heard.append((task["id"], task["result"], task["success"], Task.objects.count()))

    signals.post_execute.connect(receive)
    try:
        outcome = announced()
    finally:
        signals.post_execute.disconnect(receive)

    assert heard == [(outcome.package["id"], "done", True, 1)]


@pytest.mark.parametrize(("options", "times"), [({}, 1), ({"save": False}, 0), ({"cached": 9}, 0)])
def test_receivers_of_post_save_hear_of_a_row(options: Any, times: int) -> None:
    heard: list[Any] = []

    def receive(instance: Task, created: bool, **arguments: Any) -> None:
        heard.append((instance.id, instance.result, created, arguments["raw"]))

    post_save.connect(receive, sender=Task)
    try:
        outcome, made = prepare(finished(**options))
        record([made], make_stores())
        announce(outcome, made, NoLimit())
    finally:
        post_save.disconnect(receive, sender=Task)

    assert made.is_awaited is bool(times)
    assert heard == [(outcome.package["id"], "done", True, False)] * times
    caches["default"].clear()


def test_without_hook_and_receivers_nobody_waits() -> None:
    assert not prepared().is_awaited


def test_the_task_of_a_hook_is_made_without_pickling_again() -> None:
    outcome = finished(tasks.Unpicklable())

    assert as_task(outcome).result is outcome.result


def test_many_records_are_kept_at_once() -> None:
    record([prepared(number) for number in range(300)], make_stores())

    assert Task.objects.count() == 300
