"""Sending in step with a transaction: after its commit, or through the outbox in it."""

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.db import transaction
from django.utils import timezone

from django_q.brokers import Broker, shared_broker
from django_q.brokers.memory import Memory
from django_q.cluster.delayed import DelayedPackages
from django_q.dispatch import dispatch, make_ready
from django_q.exceptions import BrokerUnavailable, PackageError
from django_q.models import Delayed
from django_q.package import TaskPackage, build_package
from django_q.sealed import open_package
from django_q.tasks import async_task, async_tasks, schedule
from tests.site import databases

Configure = Callable[..., Any]
NOOP = "tests.site.tasks.noop"
on_every_database = pytest.mark.parametrize("database", databases.ALIASES, indirect=True)


@pytest.fixture
def broker(database: str, q_cluster: Configure) -> Iterator[Broker]:
    """The broker that the tasks of the test go to, in memory."""
    q_cluster(broker_class="django_q.brokers.memory.Memory")
    yield shared_broker()
    shared_broker().purge_queue()


def atomic(broker: Broker) -> Any:
    """A transaction of the database that has the tables."""
    return transaction.atomic(using=os.environ[databases.CHOICE])


def sent(broker: Broker) -> list[TaskPackage]:
    """Take what waits, opened."""
    leases = broker.lease(100)
    broker.acknowledge_many([lease.receipt or "" for lease in leases])
    return [open_package(lease.payload, broker.list_key) for lease in leases]


class _Rollback(Exception):
    pass


@on_every_database
@pytest.mark.parametrize("way", [True, "outbox"])
def test_large_packages_commit_on_every_database(broker: Broker, way: Any) -> None:
    large = "\0\xff" * 1000

    with atomic(broker):
        async_task("math.sqrt", large, on_commit=way)
    dispatch(broker, [make_ready(broker, build_package("math.sqrt", (large,), {}, {}))])

    assert [package["args"] for package in sent(broker)] == [(large,), (large,)]


@on_every_database
def test_large_packages_wait_in_every_database(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Memory, "can_delay", False)
    package = build_package("math.sqrt", ("\0\xff" * 1000,), {}, {"delay": 60})

    dispatch(broker, [make_ready(broker, package)])

    kept = Delayed.objects.get()
    assert kept.payload.isascii()
    assert open_package(kept.payload, broker.list_key)["args"] == package["args"]


@on_every_database
@pytest.mark.parametrize("way", [True, "outbox"])
def test_a_task_is_sent_when_the_transaction_commits(broker: Broker, way: Any) -> None:
    with atomic(broker):
        task_id = async_task(NOOP, on_commit=way)
        assert broker.queue_size() == 0

    assert [package["id"] for package in sent(broker)] == [task_id]
    assert not Delayed.objects.exists()


@on_every_database
@pytest.mark.parametrize("way", [True, "outbox"])
def test_nothing_is_sent_when_it_rolls_back(broker: Broker, way: Any) -> None:
    with pytest.raises(_Rollback), atomic(broker):
        async_tasks(NOOP, [(), ()], on_commit=way)
        raise _Rollback

    assert sent(broker) == []
    assert not Delayed.objects.exists()


def test_outside_of_a_transaction_it_is_sent_at_once(broker: Broker) -> None:
    async_task(NOOP, on_commit="outbox")

    assert len(sent(broker)) == 1


def test_the_setting_is_for_all_and_a_task_may_say_otherwise(
    broker: Broker, q_cluster: Configure
) -> None:
    q_cluster(broker_class="django_q.brokers.memory.Memory", on_commit=True)
    with atomic(broker):
        async_task(NOOP)
        async_task(NOOP, on_commit=False)
        assert len(sent(shared_broker())) == 1

    assert len(sent(shared_broker())) == 1


@pytest.mark.parametrize("way", ["later", 2, []])
def test_another_way_is_refused(broker: Broker, way: Any) -> None:
    with pytest.raises(PackageError, match="on_commit is .*: give True, False or"):
        async_task(NOOP, on_commit=way)


def test_an_outbox_outlasts_a_broker_that_is_away(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    away = BrokerUnavailable("not today")
    with mock.patch("django_q.outbox.dispatch", side_effect=away), atomic(broker):
        task_id = async_task(NOOP, on_commit="outbox")

    assert "waits, with 1 tasks of this transaction: not today" in caplog.text
    assert Delayed.objects.get().task == task_id
    Delayed.objects.update(due=timezone.now())
    DelayedPackages(broker).look()
    (package,) = sent(broker)
    assert (package["id"], package["derived"]) == (task_id, True)


def test_the_housekeeper_carries_what_a_dead_caller_left(broker: Broker) -> None:
    with mock.patch("django_q.outbox._carry"), atomic(broker):
        async_task(NOOP, on_commit="outbox")

    # Not at once: the caller has its time first.
    DelayedPackages(broker).look()
    assert sent(broker) == []
    Delayed.objects.update(due=timezone.now() - timedelta(seconds=1))
    DelayedPackages(broker).look()
    assert len(sent(broker)) == 1


def test_what_is_for_later_waits_in_the_outbox(broker: Broker) -> None:
    with atomic(broker):
        async_task(NOOP, on_commit="outbox", delay=60)

    assert sent(broker) == []
    due = Delayed.objects.get().due - timezone.now()
    assert 50 < due.total_seconds() < 61


def test_a_queue_in_the_same_database_needs_no_outbox(database: str, q_cluster: Configure) -> None:
    q_cluster(orm="default")
    with transaction.atomic():
        async_task(NOOP, on_commit="outbox")
        assert shared_broker().queue_size() == 1

    assert not Delayed.objects.exists()


def test_a_schedule_knows_no_caller(broker: Broker) -> None:
    with pytest.raises(PackageError, match="on_commit"):
        schedule(NOOP, on_commit=True)
