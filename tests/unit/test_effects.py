"""Tasks with `atomic`: what they write, their rows and their packages, together or not at all."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from django_q.brokers import Lease
from django_q.brokers.orm import ORM
from django_q.brokers.several import serving_broker
from django_q.cluster.effects import Effects
from django_q.cluster.settlement import Settlement
from django_q.enqueue import async_task
from django_q.models import OrmQ, Task, UniqueKey
from django_q.package import Outcome
from django_q.recorder import Record, make_stores
from django_q.run import Run
from django_q.sealed import open_package
from django_q.soft_limit import SoftLimit
from tests.site import databases
from tests.site.effects import effects

SITE = "tests.site.effects"
NOOP = "tests.site.tasks.noop"
on_each_database = pytest.mark.parametrize("database", databases.ALIASES, indirect=True)
Configure = Callable[..., Any]
Ended = tuple[Outcome, Record | None] | None


@pytest.fixture(autouse=True)
def _queue(database: str, q_cluster: Configure) -> None:
    q_cluster(orm=database, save_limit=0)


def send(func: str, *args: Any, **options: Any) -> str:
    return async_task(f"{SITE}.{func}", *args, atomic=True, **options)


def take() -> Lease:
    broker = serving_broker("default")
    (lease,) = broker.lease(1)
    lease.queue = lease.queue or "default"
    return lease


def run(lease: Lease | None = None) -> Ended:
    """Run what was leased, as a worker does."""
    lease = lease or take()
    package = open_package(lease.payload, lease.queue)
    return Effects("default", make_stores()).execute(lease, Run(package), SoftLimit())


def lapse() -> None:
    OrmQ.objects.update(lock=timezone.now() - timedelta(seconds=1))


@on_each_database
def test_effect_row_and_end_of_the_package_are_committed_together() -> None:
    task_id = send("leave", "a")

    ended = run()

    assert effects() == {"a": 1}
    assert Task.objects.get().pk == task_id
    assert not OrmQ.objects.exists()
    assert ended and ended[1] and ended[1].is_committed


@on_each_database
def test_a_run_that_lost_its_lease_leaves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    send("leave", "a", task_name="late")
    first = take()
    lapse()
    second = take()

    assert run(first) is None

    assert (effects(), Task.objects.count(), OrmQ.objects.count()) == ({}, 0, 1)
    assert [r.getMessage() for r in caplog.records if "lost its lease" in r.getMessage()]
    run(second)
    assert (effects(), Task.objects.count(), OrmQ.objects.count()) == ({"a": 1}, 1, 0)
    assert run(first) is None
    assert effects() == {"a": 1}


@on_each_database
def test_a_run_whose_package_was_purged_frees_its_key(caplog: pytest.LogCaptureFixture) -> None:
    send("leave", "a", unique="once")
    lease = take()
    OrmQ.objects.all().delete()

    assert run(lease) is None

    assert (effects(), Task.objects.count()) == ({}, 0)
    assert not UniqueKey.objects.exists()
    assert "was taken out of the queue while it ran" in caplog.text


def test_a_run_that_lost_its_lease_leaves_the_key_to_the_other_one() -> None:
    send("leave", "a", unique="once")
    first = take()
    lapse()
    second = take()

    run(first)
    assert UniqueKey.objects.exists()
    run(second)

    assert not UniqueKey.objects.exists()


def test_a_lease_that_lapsed_and_that_nobody_else_has_is_still_its_own() -> None:
    send("leave", "a")
    lease = take()
    lapse()

    run(lease)

    assert effects() == {"a": 1}


@on_each_database
def test_of_two_packages_of_one_task_the_first_success_stands() -> None:
    send("leave", "a")
    OrmQ.objects.create(key="default", payload=OrmQ.objects.get().payload, lock=timezone.now())

    run()
    lease = take()
    assert run(lease) is None

    assert effects() == {"a": 1}
    assert lease.is_counted  # so it is looked up when it comes again


@on_each_database
def test_what_follows_is_committed_with_it() -> None:
    send("leave", "a", on_success=NOOP)

    ended = run()

    (follower,) = OrmQ.objects.all()
    assert follower.task["func"] == NOOP
    # And is not sent once more when the rest is settled.
    assert ended and ended[1]
    Settlement(ORM("default"), make_stores()).settle([ended[1]])
    assert OrmQ.objects.count() == 1


@pytest.mark.parametrize(
    ("func", "text"),
    [
        ("fail", "on purpose"),
        ("give_lambda", "could not be stored"),
        ("roll_back", "transaction"),
        ("leave_asynchronously", "atomic is True, but the task is an async function"),
    ],
)
def test_a_task_that_fails_leaves_nothing(func: str, text: str) -> None:
    send(func, "a")

    ended = run()

    assert effects() == {}
    assert ended and not ended[0].success and text in ended[0].result
    # It is recorded as usual, outside.
    assert ended[1] is None
    assert OrmQ.objects.count() == 1


def test_the_traceback_of_a_failure_begins_with_the_task() -> None:
    send("fail", "a")

    ended = run()

    assert ended and "effects.py" in ended[0].result
    assert "django_q" not in ended[0].result


def test_what_is_left_to_on_commit_comes_after_it() -> None:
    send("leave_later", "a")

    run()

    assert effects() == {"a": 1}


def test_what_is_left_to_on_commit_and_fails_changes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    send("fail_later", "a")

    ended = run()

    assert ended and ended[0].success and ended[1]
    assert effects() == {"a": 1, "later": 1}
    assert [r for r in caplog.records if r.levelno == logging.ERROR and r.exc_info]


def test_a_task_beyond_its_limit_leaves_nothing() -> None:
    send("take_long", "a", 60, timeout=0.2)

    ended = run()

    assert effects() == {}
    assert ended and ended[0].cause == "timeout"


def test_a_result_that_is_not_saved_needs_no_row() -> None:
    send("leave", "a", save=False)
    first = take()
    lapse()
    run(take())

    assert run(first) is None

    assert effects() == {"a": 1}
    assert not Task.objects.exists()


def test_several_queues_are_served(q_cluster: Configure, database: str) -> None:
    q_cluster(orm=database, save_limit=0, queues=["urgent", "default"])
    send("leave", "a", cluster="urgent")

    run()

    assert effects() == {"a": 1}
    assert not OrmQ.objects.exists()


def test_a_worker_whose_broker_is_elsewhere_fails_the_task(q_cluster: Configure) -> None:
    send("leave", "a")
    lease = take()
    q_cluster(broker_class="django_q.brokers.memory.Memory")

    ended = run(lease)

    assert effects() == {}
    assert ended and "the broker Memory keeps packages outside the database" in ended[0].result


def test_a_commit_that_the_server_ends_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*arguments: Any) -> None:
        raise OperationalError("database is locked")

    send("leave", "a")
    lease = take()
    with monkeypatch.context() as patch:
        patch.setattr(Settlement, "settle_within", refuse)
        assert run(lease) is None

    assert "could not be committed, and is tried again" in caplog.text
    assert (lease.pause, lease.is_counted) == (1.0, True)
    assert effects() == {}
    run(lease)
    assert effects() == {"a": 1}


@pytest.mark.parametrize("func", ["leave", "fail"])
def test_in_place_a_failure_leaves_nothing(func: str) -> None:
    try:
        send(func, "a", sync=True)
    except ValueError:
        assert func == "fail"

    assert effects() == ({"a": 1} if func == "leave" else {})
    assert Task.objects.get().success is (func == "leave")
