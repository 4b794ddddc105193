"""Receivers of `pre_enqueue` have their say about scheduled tasks, and hurt nobody."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from django_q import schedule_package, signals
from django_q.brokers.memory import Memory
from django_q.models import Schedule
from django_q.scheduler import Scheduler
from django_q.soft_limit import SoftLimit
from tests.unit.planned import MEMORY, NOW, Configure, make, sent

Connect = Callable[[Callable[..., Any]], None]


@pytest.fixture(autouse=True)
def settings(database: str, q_cluster: Configure) -> None:
    q_cluster(broker_class=MEMORY)


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Function that connects a receiver for the length of a test."""
    connected: list[Any] = []

    def add(receiver: Callable[..., Any]) -> None:
        signals.pre_enqueue.connect(receiver)
        connected.append(receiver)

    yield add
    for receiver in connected:
        signals.pre_enqueue.disconnect(receiver)


def groups() -> list[str]:
    """The groups of what a scheduler enqueues that limits receivers, as the housekeeper's does."""
    broker = Memory()
    Scheduler(broker, SoftLimit()).run_due(NOW)
    return [package["group"] for package in sent(broker)]


def test_a_receiver_may_change_the_task(connect: Connect) -> None:
    make()

    def change(task: Any, **kwargs: Any) -> None:
        task["group"] = "changed"

    connect(change)

    assert groups() == ["changed"]


def test_a_receiver_that_raises_is_logged(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    make(name="one")

    def fail(**kwargs: Any) -> None:
        raise RuntimeError("on purpose")

    connect(fail)

    assert groups() == ["one"]
    assert "on purpose" in caplog.text


def test_a_receiver_that_hangs_is_cut_short(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(schedule_package, "_USER_CODE_LIMIT", 0.1)
    make(name="one")
    make(name="two")

    def hang(**kwargs: Any) -> None:
        time.sleep(60)

    connect(hang)

    assert groups() == ["one", "two"]
    assert "pre_enqueue ran longer than its limit" in caplog.text


def test_a_receiver_that_spoils_the_task_disables_its_schedule_alone(connect: Connect) -> None:
    make(name="bad")
    make(name="good")

    def spoil(task: Any, **kwargs: Any) -> None:
        if task["group"] == "bad":
            task["kwargs"]["lambda"] = lambda: 0

    connect(spoil)

    assert groups() == ["good"]
    assert "cannot be pickled" in (Schedule.objects.get(name="bad").error or "")
