"""Tasks with `atomic`: what they write, their rows and their packages, together or not at all."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from django_q.brokers.orm import ORM
from django_q.cluster.scoreboard import Phase
from django_q.cluster.settlement import Settlement
from django_q.models import OrmQ, Task, Tracked, UniqueKey
from django_q.recorder import make_stores
from tests.site import databases
from tests.site.effects import effects
from tests.unit.leased_effects import run, send, take

NOOP = "tests.site.tasks.noop"
on_each_database = pytest.mark.parametrize("database", databases.ALIASES, indirect=True)
Configure = Callable[..., Any]


@pytest.fixture(autouse=True)
def _queue(database: str, q_cluster: Configure) -> None:
    q_cluster(orm=database, save_limit=0)


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


def test_what_is_left_to_on_commit_comes_after_it() -> None:
    send("leave_later", "a")

    run()

    assert effects() == {"a": 1}


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


def test_neither_waiting_for_the_transaction_nor_the_commit_is_the_tasks_time() -> None:
    phases: list[tuple[Phase, bool, int]] = []

    def mark(phase: Phase) -> None:
        phases.append((phase, connection.in_atomic_block, Task.objects.count()))

    send("leave", "a")
    run(mark=mark)

    assert phases == [
        (Phase.CHECKING, False, 0),
        (Phase.RUNNING, True, 0),
        (Phase.SETTLING, True, 0),
        (Phase.RUNNING, False, 1),
    ]


def test_what_follows_is_followed_from_the_commit_on() -> None:
    send("leave", "a", on_success=(NOOP, (), {"q_options": {"track": True}}))

    run()

    (follower,) = OrmQ.objects.all()
    assert Tracked.objects.get().pk == follower.task["id"]
