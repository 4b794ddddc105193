"""The decorator `task`: options beside a function, and the ways to send it."""

import inspect
import pickle
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from django_q.brokers import shared_broker
from django_q.exceptions import PackageError
from django_q.options import OPTIONS
from django_q.package import TaskPackage
from django_q.task_function import NOT_OF_A_FUNCTION, TaskFunction, TaskOptions
from django_q.tasks import async_chain, async_iter, async_task, async_tasks, schedule, task
from tests.site.decorated.tasks import plain, send_receipt, wait_a_bit
from tests.unit.planned import MEMORY
from tests.unit.planned import sent as sent_to

PATH = "tests.site.decorated.tasks.send_receipt"

#: What it says as one of several: their group is not its own.
IN_COMPANY = {"q_options": {"timeout": 30, "max_attempts": 3, "retry_delay": 0.1}}


@pytest.fixture(autouse=True)
def settings(database: str, q_cluster: Callable[..., Any]) -> Callable[..., Any]:
    q_cluster(broker_class=MEMORY)
    return q_cluster


def sent() -> list[TaskPackage]:
    return sent_to(shared_broker())


def only() -> TaskPackage:
    (package,) = sent()
    return package


def test_calling_it_calls_the_function() -> None:
    assert send_receipt(12, currency="SEK") == "12 SEK"
    assert send_receipt.__name__ == "send_receipt"
    assert send_receipt.__doc__ == "Give the text of a receipt."
    assert str(inspect.signature(send_receipt)) == "(number: int, currency: str = 'EUR') -> str"
    assert repr(send_receipt) == f"<task {PATH}>"


def test_enqueue_sends_the_call_with_the_options() -> None:
    task_id = send_receipt.enqueue(12, currency="SEK")

    package = only()
    assert (package["id"], package["func"]) == (task_id, PATH)
    assert (package["args"], package["kwargs"]) == ((12,), {"currency": "SEK"})
    assert (package["timeout"], package["max_attempts"]) == (30, 3)


def test_arguments_may_have_the_names_of_options() -> None:
    plain.enqueue(timeout=1.5, group="mine")

    package = only()
    assert package["kwargs"] == {"timeout": 1.5, "group": "mine"}
    assert "timeout" not in package and "group" not in package


def test_enqueue_many_sends_one_for_each_element() -> None:
    ids = send_receipt.enqueue_many([1, (2, "SEK")])

    packages = sent()
    assert [package["id"] for package in packages] == ids
    assert [package["args"] for package in packages] == [(1,), (2, "SEK")]
    assert {package["timeout"] for package in packages} == {30}


def test_using_gives_a_copy_with_other_options() -> None:
    send_receipt.using(timeout=5, group=None, priority=7).enqueue(1)
    send_receipt.enqueue(2)

    changed, unchanged = sent()
    assert (changed["timeout"], changed["max_attempts"], changed["priority"]) == (5, 3, 7)
    assert "group" not in changed
    assert (unchanged["timeout"], unchanged["group"]) == (30, "receipts")


def test_it_can_stand_where_a_function_can() -> None:
    async_task(send_receipt, 1, timeout=5)
    async_tasks(send_receipt, [2])
    async_iter(send_receipt, [3], save=True)
    async_chain([send_receipt.using(timeout=6), (send_receipt, (4,))])

    one, two, three, link = sent()
    assert {package["func"] for package in (one, two, three, link)} == {PATH}
    assert [one["timeout"], two["timeout"], three["timeout"], link["timeout"]] == [5, 30, 30, 6]
    assert link["group"] not in (None, "receipts")
    assert link["chain"] == [(PATH, (4,), IN_COMPANY)]


def test_as_a_callback_it_has_its_options() -> None:
    ends = {"on_success": send_receipt, "on_failure": (send_receipt, (7,))}
    async_task("tests.site.tasks.noop", **ends)

    package = only()
    assert package["on_success"] == (PATH, (), IN_COMPANY)
    assert package["on_failure"] == (PATH, (7,), IN_COMPANY)


def test_a_schedule_keeps_its_options() -> None:
    row = schedule(send_receipt, 12, schedule_type="D", q_options={"timeout": 7})

    assert row.func == PATH
    assert "'timeout': 7" in row.kwargs and "'max_attempts': 3" in row.kwargs


def test_a_call_that_says_when_is_not_contradicted() -> None:
    later = send_receipt.using(delay=60)

    async_task(later, 1, run_at=None, delay=0)

    assert only()["args"] == (1,)


def test_it_travels_by_its_path() -> None:
    assert pickle.loads(pickle.dumps(send_receipt)) is send_receipt

    copy = pickle.loads(pickle.dumps(send_receipt.using(timeout=1)))
    assert (copy.module_path, copy.task_options["timeout"]) == (PATH, 1)


def test_sync_runs_it_in_place(settings: Callable[..., Any]) -> None:
    settings(broker_class=MEMORY, sync=True)

    with pytest.raises(TypeError, match="currency"):
        send_receipt.enqueue(12, "SEK", currency="SEK")  # type: ignore[call-arg]
    assert wait_a_bit.enqueue(1)


def test_an_inner_function_cannot_be_sent() -> None:
    @task
    def inner() -> int:
        return 1

    assert inner() == 1
    with pytest.raises(PackageError, match="inside another function"):
        inner.enqueue()


def test_unknown_options_are_refused() -> None:
    with pytest.raises(TypeError, match="task\\(\\) got 'time_out'.*timeout"):
        task(time_out=5)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="using\\(\\) got 'chain'"):
        send_receipt.using(chain=[])  # type: ignore[call-arg]


def test_editors_know_every_option() -> None:
    assert set(TaskOptions.__annotations__) == set(OPTIONS) - NOT_OF_A_FUNCTION
    assert isinstance(send_receipt, TaskFunction)


def test_delays_may_be_timedeltas() -> None:
    send_receipt.using(delay=timedelta(seconds=0)).enqueue(1)

    assert only()["args"] == (1,)
