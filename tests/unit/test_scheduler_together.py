"""However many schedulers there are, and however they end, each due time has one task."""

import threading
import time
from typing import Any, NoReturn

import pytest
from django.db import connections, transaction

from django_q.brokers import get_broker
from django_q.brokers.memory import Memory
from django_q.brokers.orm import ORM
from django_q.exceptions import ResultsUnavailable
from django_q.models import OrmQ, Schedule
from django_q.scheduler import Scheduler
from tests.site import databases
from tests.unit.planned import NOW, Configure, make, run, sent

everywhere = pytest.mark.parametrize("database", databases.ALIASES, indirect=True)


@pytest.fixture(autouse=True)
def orm(database: str, q_cluster: Configure) -> str:
    """Packages in the database of the schedules."""
    q_cluster(orm=database)
    return database


def test_a_scheduler_killed_before_the_commit_leaves_the_same_task_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    schedule = make()
    broker = Memory()
    kept = Memory.enqueue_many

    def die(self: Memory, tasks: Any, **options: Any) -> NoReturn:
        kept(self, tasks, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Memory, "enqueue_many", die)
        Scheduler(broker).run_due(NOW)
    Scheduler(broker).run_due(NOW)

    first, second = sent(broker)
    assert first["id"] == second["id"]
    assert first["derived"]
    schedule.refresh_from_db()
    assert schedule.task == first["id"]


@everywhere
def test_in_one_database_a_scheduler_killed_before_the_commit_leaves_nothing(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make()
    kept = ORM.enqueue_many

    def die(self: ORM, tasks: Any, **options: Any) -> NoReturn:
        kept(self, tasks, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ORM, "enqueue_many", die)
        Scheduler(get_broker()).run_due(NOW)

    assert OrmQ.objects.count() == 0
    assert len(run()) == 1


def test_a_schedule_set_back_to_an_old_time_runs_anew() -> None:
    schedule = make()
    (first,) = run()

    Schedule.objects.update(next_run=schedule.next_run)
    (second,) = run()

    assert first["id"] != second["id"]


@everywhere
def test_what_another_scheduler_has_just_run_is_left_alone(database: str) -> None:
    make(name="mine")
    make(name="taken")
    looking = Scheduler(get_broker())
    read = looking._rows.read_due

    def read_and_lose(*args: Any) -> list[Schedule]:
        found = read(*args)
        Schedule.objects.filter(name="taken").update(task="a" * 32)
        return found

    looking._rows.read_due = read_and_lose  # type: ignore[method-assign]
    looking.run_due(NOW)

    assert [package["group"] for package in sent()] == ["mine"]


@pytest.mark.parametrize("database", ["postgres", "mariadb"], indirect=True)
def test_what_another_scheduler_has_in_hand_is_not_waited_for(database: str) -> None:
    held = make(name="held")
    make(name="free")
    found: list[str] = []

    def look() -> None:
        try:
            found.extend(package["group"] for package in run())
        finally:
            connections.close_all()

    with transaction.atomic(using=database):
        Schedule.objects.select_for_update().get(pk=held.pk)
        thread = threading.Thread(target=look)
        thread.start()
        thread.join(5)

        assert found == ["free"]
    assert [package["group"] for package in run()] == ["held"]


@everywhere
def test_schedulers_side_by_side_share_the_work_and_do_nothing_twice(database: str) -> None:
    rows = [Schedule(func="math.sqrt", args="4", name=f"s{n}", next_run=NOW) for n in range(300)]
    Schedule.objects.bulk_create([*rows])
    Schedule.objects.update(schedule_type="H")
    counts: list[int] = []

    def look() -> None:
        try:
            looking, end = Scheduler(get_broker()), time.monotonic() + 20
            while time.monotonic() < end and Schedule.objects.filter(next_run=NOW).exists():
                try:
                    counts.append(looking.run_due(NOW))
                except ResultsUnavailable:
                    continue  # locked: the housekeeper's duty tries again, too
        finally:
            connections.close_all()

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(counts) == 300
    assert sorted(package["group"] for package in sent()) == sorted(str(row.name) for row in rows)
