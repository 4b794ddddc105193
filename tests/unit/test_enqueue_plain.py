"""The short way by which plain tasks are sent gives what the way of all others gives."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from django_q import enqueue, signals
from django_q.brokers import shared_broker
from django_q.enqueue import async_task, async_tasks
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


def taken(queue: str | None = None) -> list[TaskPackage]:
    """Take all packages out of a queue, opened."""
    broker = shared_broker(queue)
    leases = broker.lease(100)
    broker.acknowledge_many([lease.receipt for lease in leases])
    return [open_package(lease.payload, broker.list_key) for lease in leases]


def without_marks(packages: list[TaskPackage]) -> list[dict[str, Any]]:
    """What is the same of two tasks that were sent alike."""
    return [
        {k: v for k, v in package.items() if k not in ("id", "name", "started")}
        for package in packages
    ]


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({}, {}),
        ({}, {"group": "g", "timeout": 5, "save": False, "cached": 60, "ack_failure": True}),
        ({}, {"task_name": "mine", "hook": tasks.write_hook, "max_attempts": 3}),
        ({}, {"cluster": "mails", "group": "g"}),
        ({"cached": True, "ack_failures": True}, {"color": "red"}),
        ({"legacy": "write"}, {"color": "red"}),
        ({}, {"color": "red" * 1000}),
        ({"compress": True}, {"color": "".join(map(chr, range(2000)))}),
        ({"serializer": "json"}, {"color": "\xff" * 1000}),
        ({"legacy": "write"}, {"color": "red" * 1000}),
        ({"serializer": "json"}, {"q_options": {"group": "g"}, "group": "color"}),
    ],
)
def test_plain_tasks_are_sent_as_all_others(
    memory: Configure, monkeypatch: pytest.MonkeyPatch, settings: Any, options: Any
) -> None:
    memory(**settings)

    def send_two() -> list[TaskPackage]:
        ids = [async_task(tasks.echo, 1, **options), *async_tasks(tasks.echo, [1], **options)]
        packages = taken(options.get("cluster"))
        assert [package["id"] for package in packages] == ids
        return packages

    short = send_two()
    monkeypatch.setattr(enqueue, "_is_plain", lambda package: False)

    assert without_marks(short) == without_marks(send_two())


@pytest.mark.usefixtures("memory")
def test_receivers_have_their_say_first() -> None:
    def receive(task: TaskPackage, **kwargs: Any) -> None:
        if task["args"] == (1,):
            task["cluster"] = "mails"
        if task["args"] == (2,):
            task["run_at"] = timezone.now() + timedelta(hours=1)

    signals.pre_enqueue.connect(receive)
    try:
        singly = [async_task(tasks.echo, number) for number in range(3)]
        together = async_tasks(tasks.echo, range(3))
    finally:
        signals.pre_enqueue.disconnect(receive)

    assert [package["id"] for package in taken()] == [singly[0], together[0]]
    assert [package["id"] for package in taken("mails")] == [singly[1], together[1]]


@pytest.mark.usefixtures("memory")
def test_every_task_that_is_sent_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG", "django-q"):
        ids = [async_task(tasks.noop), *async_tasks(tasks.noop, [(), ()])]

    assert all(f"[{task_id}] on " in caplog.text for task_id in ids)
