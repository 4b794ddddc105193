"""The backend for the task framework that is there: what it refuses, checks and shows."""

import importlib
import pickle
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import django
import pytest
from django.test import override_settings
from django.utils import timezone

from django_q.backend import DjangoQBackend, DjangoQTask
from django_q.brokers import shared_broker
from django_q.framework.family import family
from django_q.models import Attempt, Task, Tracked
from django_q.package import TaskPackage
from django_q.tasks import async_chain, async_task, cancel, periodic, schedule
from tests.unit.planned import MEMORY
from tests.unit.planned import sent as sent_to

ROOT = "django.tasks" if django.VERSION >= (6, 0) else "django_tasks"
framework = importlib.import_module(ROOT)
FAMILY = family(ROOT)
BACKEND = "django_q.backend.DjangoQBackend"
Set = Callable[..., None]


@framework.task
def add(first: Any, second: Any) -> Any:
    """Give the sum."""
    return first + second


@framework.task(takes_context=True)
def show_order(context: Any) -> Any:
    """Give how the task was sent."""
    return [context.task_result.task.priority, context.task_result.task.queue_name]


@pytest.fixture(autouse=True)
def broker(database: str, q_cluster: Callable[..., Any]) -> Callable[..., Any]:
    q_cluster(broker_class=MEMORY)
    return q_cluster


@pytest.fixture
def options() -> Iterator[Set]:
    """Function that sets the backend's OPTIONS."""
    overrides = []

    def configure(queues: Any = (), **values: Any) -> None:
        entry = {"BACKEND": BACKEND, "QUEUES": list(queues), "OPTIONS": values}
        overrides.append(override_settings(TASKS={"default": entry}))
        overrides[-1].enable()

    yield configure
    for override in reversed(overrides):
        override.disable()


def backend() -> Any:
    return framework.task_backends["default"]


def only() -> TaskPackage:
    (package,) = sent_to(shared_broker())
    return package


def test_the_nearest_word_counts(options: Set) -> None:
    path = f"{__name__}.add"
    options(timeout=1, group="all", max_attempts=2, TASKS={path: {"timeout": 2, "group": "one"}})

    add.using(timeout=3).enqueue(1, 2)

    package = only()
    assert (package["timeout"], package["group"], package["max_attempts"]) == (3, "one", 2)
    assert (package["func"], package["args"], package["track"]) == (path, (1, 2), True)


def test_arguments_may_have_the_names_of_options() -> None:
    with pytest.raises(TypeError, match="Unsupported type"):
        add.enqueue(1, second=timezone.now())

    add.enqueue(first=1, second=(2, {"timeout": 3}))

    assert only()["kwargs"] == {"first": 1, "second": [2, {"timeout": 3}]}


def test_a_timedelta_counts_from_each_enqueue() -> None:
    later = add.using(run_after=timedelta(hours=1))
    before = timezone.now()

    result = later.enqueue(1, 2)

    assert before < result.task.run_after - timedelta(hours=1) <= timezone.now()
    row = Tracked.objects.get(pk=result.id)
    assert (row.state, row.run_at) == ("scheduled", result.task.run_after)
    assert backend().get_result(result.id) == result


def test_tasks_are_values() -> None:
    one, two = add.using(retry_on=["ValueError"], max_attempts=2), add.using(timeout=5)

    assert one == add.using(retry_on=("ValueError",), max_attempts=2) != two
    assert len({one, two, add}) == 3
    assert "retry_on=('ValueError',)" in repr(one) and "timeout" not in repr(one)
    assert (type(one), type(one).__module__) == (DjangoQTask, DjangoQTask.__module__)
    with pytest.raises(TypeError, match="'time_out'"):
        add.using(time_out=5)
    if django.VERSION >= (6, 1):
        assert pickle.loads(pickle.dumps(one)) == one


def test_a_broker_without_priorities_refuses_them(broker: Callable[..., Any]) -> None:
    broker(redis="redis://127.0.0.1:1/0", receipts=False)

    assert not backend().supports_priority
    with pytest.raises(FAMILY.invalid_task, match="priority"):
        add.using(priority=5)


def test_the_queue_called_default_is_the_projects_own(
    broker: Callable[..., Any], options: Set
) -> None:
    broker(broker_class=MEMORY, name="site", cluster_name="shop")
    ours = add.enqueue(1, 2)
    options(cluster="elsewhere")
    theirs = add.enqueue(1, 2)

    rows = {row.pk: row.queue for row in Tracked.objects.all()}
    assert rows == {ours.id: "shop", theirs.id: "elsewhere"}
    assert backend().get_result(theirs.id).task.queue_name == "default"


@pytest.mark.parametrize("end", ["success", "failure", "cancelled"])
def test_a_result_says_how_its_task_was_sent(
    broker: Callable[..., Any], options: Set, end: str
) -> None:
    options(queues=["default", "reports"])
    broker(broker_class=MEMORY, sync=end != "cancelled")
    order = {"priority": 7, "run_after": timezone.now() + timedelta(hours=1)}

    result = add.using(**order, queue_name="reports").enqueue(1, "2" if end == "failure" else 2)
    if end == "cancelled":
        cancel(result.id)

    task = backend().get_result(result.id).task
    assert {name: getattr(task, name) for name in order} == order
    assert (task.queue_name, task.backend) == ("reports", "default")


def test_a_task_that_runs_says_how_it_was_sent(broker: Callable[..., Any], options: Set) -> None:
    options(queues=["default", "reports"])
    broker(broker_class=MEMORY, sync=True)

    urgent = show_order.using(priority=7, queue_name="reports").enqueue()
    plain = show_order.enqueue()

    assert urgent.return_value == [7, "reports"]
    assert plain.return_value == [0, "default"]


def test_failures_have_an_error_for_each_attempt() -> None:
    result = add.enqueue(1, "2")
    times = {"started": timezone.now(), "stopped": timezone.now()}
    Attempt.objects.create(
        task=result.id, number=1, error="builtins.ValueError", worker="one:1", **times,
        traceback="no : Traceback (most recent call last):\nValueError: no\n",
        again_at=timezone.now(),
    )  # fmt: skip
    Tracked.objects.update(attempt=2)
    waiting = backend().get_result(result.id)
    Tracked.objects.all().delete()
    Task.objects.create(
        id=result.id, name="n", func=add.module_path, args=(1, "2"), kwargs={}, success=False,
        result="It ended 3 workers", cause="died", attempt_count=2, worker="two:2", **times,
    )  # fmt: skip

    ended = backend().get_result(result.id)

    assert (str(waiting.status), waiting.attempts, len(waiting.errors)) == ("READY", 1, 1)
    assert (str(ended.status), ended.worker_ids) == ("FAILED", ["one:1", "two:2"])
    first, last = ended.errors
    assert (first.exception_class, first.traceback.split("\n")[1]) == (ValueError, "ValueError: no")
    assert last.exception_class_path == "django_q.exceptions.TaskFailed"
    assert last.traceback == "It ended 3 workers"


def test_what_is_no_result_is_unknown() -> None:
    other = async_task("tests.site.tasks.add", 1, 2, track=True)

    for result_id in ("123", "f" * 32, other):
        with pytest.raises(FAMILY.no_result):
            backend().get_result(result_id)


def test_sync_runs_the_task_in_place(broker: Callable[..., Any]) -> None:
    broker(broker_class=MEMORY, sync=True)

    good, bad = add.enqueue(20, 22), add.enqueue(1, "2")

    assert good.return_value == 42
    assert (str(bad.status), bad.errors[0].exception_class) == ("FAILED", TypeError)


def test_a_cached_result_is_found(broker: Callable[..., Any], options: Set) -> None:
    broker(broker_class=MEMORY, sync=True, cache="shared")
    options(cached=60)

    result = add.enqueue(20, 22)

    assert not Task.objects.exists()
    assert backend().get_result(result.id).return_value == 42


def test_the_other_door_takes_a_task_of_the_framework(options: Set) -> None:
    options(timeout=7)
    careful = add.using(max_attempts=3, priority=2)

    task_id = async_task(careful, 20, 22, sync=True)
    async_task(careful, 1, 2, timeout=8)
    async_chain([careful, (add, (3, 4))])
    row = schedule(add, 1, 2, schedule_type="D")

    assert backend().get_result(task_id).return_value == 42
    link, one = sorted(sent_to(shared_broker()), key=lambda package: "chain" not in package)
    assert (one["timeout"], one["max_attempts"], one["priority"]) == (8, 3, 2)
    assert (link["timeout"], link["max_attempts"]) == (7, 3)
    assert link["chain"][0][:2] == (add.module_path, (3, 4))
    assert row.func == add.module_path and "'timeout': 7" in row.kwargs
    with pytest.raises(TypeError, match="schedule"):
        periodic(every=5)(add)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"time_out": 5}, "unknown key 'time_out'"),
        ({"timeout": "long"}, "timeout is 'long'"),
        ({"TASKS": {"shop.tasks.add": {"retries": 5}}}, "shop.tasks.add.*no option 'retries'"),
        ({"TASKS": {"shop.tasks.add": {"max_attempts": -1}}}, "max_attempts is -1"),
    ],
)
def test_check_tells_of_wrong_options(options: Set, values: Any, text: str) -> None:
    options(**values)

    (found,) = backend().check()
    assert found.is_serious()
    assert re.search(text, found.msg)


def test_check_has_nothing_to_say_of_right_ones(options: Set) -> None:
    options(timeout=5, cluster="x", on_commit=True, TASKS={"shop.tasks.add": {"max_attempts": 3}})

    assert list(backend().check()) == []


def test_there_is_one_for_the_backport() -> None:
    backport = importlib.import_module("django_q.backport")

    assert backport.DjangoQBackend.framework == "django_tasks"
    assert (backport.DjangoQBackend is DjangoQBackend) == (django.VERSION < (6, 0))
