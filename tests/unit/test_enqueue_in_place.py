"""Tasks in place (`sync=True`): the same walk, without the cluster."""

from collections.abc import Callable
from typing import Any

import pytest

from django_q.brokers import shared_broker
from django_q.conf import Conf
from django_q.enqueue import async_task, async_tasks
from django_q.models import Task
from django_q.package import TaskPackage
from django_q.sealed import open_package
from tests.site import tasks

Configure = Callable[..., Any]


@pytest.fixture
def memory(q_cluster: Configure) -> Configure:
    """Function that sets `Q_CLUSTER`, always with the broker in memory."""

    def configure(**values: Any) -> None:
        q_cluster(broker_class="django_q.brokers.memory.Memory", **values)

    configure()
    return configure


def sent(queue: str | None = None, broker: Any = None) -> list[TaskPackage]:
    """Take all packages out of a queue, opened."""
    broker = broker or shared_broker(queue)
    leases = broker.lease(10_000)
    broker.acknowledge_many([lease.receipt for lease in leases])
    return [open_package(lease.payload, broker.list_key) for lease in leases]


@pytest.mark.usefixtures("memory", "database")
def test_a_task_in_place_is_recorded_like_any() -> None:
    task_id = async_task(tasks.add, 1, 2, sync=True, task_name="mine", group="g")

    task = Task.objects.get(pk=task_id)
    assert (task.result, task.name, task.group, task.success) == (3, "mine", "g", True)
    assert (task.func, task.cluster) == ("tests.site.tasks.add", Conf.CLUSTER_NAME)
    assert sent() == []


@pytest.mark.usefixtures("memory", "database")
def test_what_a_task_in_place_raises_is_raised_and_recorded() -> None:
    with pytest.raises(ValueError, match="on purpose"):
        async_task(tasks.fail, sync=True)

    task = Task.objects.get()
    assert not task.success
    assert task.result.startswith("on purpose : Traceback")


@pytest.mark.usefixtures("database")
def test_all_tasks_run_in_place_where_the_settings_say_so(memory: Configure) -> None:
    memory(sync=True)

    ids = async_tasks(tasks.add, [(1, 2), (3, 4)])
    async_task(tasks.noop, sync=False)

    assert sorted(Task.objects.values_list("pk", flat=True)) == sorted(ids)
    assert len(sent()) == 1


@pytest.mark.usefixtures("memory", "database")
@pytest.mark.parametrize(
    ("func", "error"),
    [
        ("tests.site.tasks.missing", "cannot be found"),
        (tasks.give_lambda, "lambda"),
        (tasks.leave, "3"),
    ],
)
def test_in_place_every_failure_comes_to_the_caller(func: Any, error: str) -> None:
    with pytest.raises(BaseException, match=error):
        async_task(func, sync=True)

    assert not Task.objects.get().success


@pytest.mark.usefixtures("memory", "database")
def test_a_coroutine_in_place_is_awaited() -> None:
    assert Task.objects.get(pk=async_task(tasks.answer, sync=True)).result == 42


@pytest.mark.usefixtures("memory", "database")
def test_arguments_of_a_task_in_place_are_copies() -> None:
    given: list[int] = []

    async_task("builtins.list.append", given, 1, sync=True)

    assert given == []
