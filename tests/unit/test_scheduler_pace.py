"""How often the scheduler looks, how exact it is, and how much it does at a time."""

import logging
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from django_q import scheduler as module
from django_q.brokers import Broker, get_broker
from django_q.brokers.memory import Memory
from django_q.cluster.duty import Duty, News
from django_q.models import OrmQ, Schedule
from django_q.scheduler import Scheduler
from tests.site import databases
from tests.unit.planned import MEMORY, NOW, Configure, make, sent

everywhere = pytest.mark.parametrize("database", databases.ALIASES, indirect=True)


@pytest.fixture(autouse=True)
def orm(database: str, q_cluster: Configure) -> str:
    """Packages in the database of the schedules."""
    q_cluster(orm=database)
    return database


@pytest.fixture
def queries(database: str) -> Iterator[list[str]]:
    """The statements that are executed."""
    found: list[str] = []

    def note(execute: Any, sql: str, *args: Any) -> Any:
        found.append(sql)
        return execute(sql, *args)

    with connections[database].execute_wrapper(note):
        yield found


def test_d25_a_look_costs_one_query_and_there_are_two_a_second(queries: list[str]) -> None:
    make(next_run=timezone.now() + timedelta(hours=1))
    looking = Duty(News(), "looking", 0.5, Scheduler(Memory()).look)
    queries.clear()

    end = time.monotonic() + 1.2
    while time.monotonic() < end:
        looking.do_when_due()
        time.sleep(looking.due_in)  # as the housekeeper rests

    assert 2 <= len(queries) <= 3


@pytest.mark.alone
def test_d25_a_schedule_fires_at_its_time_and_not_at_the_next_look() -> None:
    due = timezone.now() + timedelta(seconds=0.8)
    make(next_run=due)
    broker = Memory()
    looking = Duty(News(), "looking", 0.5, Scheduler(broker).look)
    found: list[Any] = []

    while not found and timezone.now() < due + timedelta(seconds=5):
        looking.do_when_due()
        found = sent(broker)
        time.sleep(0.005)

    assert timedelta(0) <= found[0]["started"] - due < timedelta(seconds=0.5)


@pytest.mark.alone
@everywhere
def test_a_thousand_schedules_take_less_than_a_second_of_the_processor(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "django-q")
    row = {"func": "math.sqrt", "args": "4", "schedule_type": "H", "next_run": NOW}
    Schedule.objects.bulk_create(Schedule(**row) for _ in range(1000))
    looking = Scheduler(get_broker())
    started = time.thread_time()

    while looking.run_due(NOW):
        pass

    # By the clock: tests/cluster/test_schedules.py.
    assert time.thread_time() - started < 1
    assert OrmQ.objects.count() == 1000


def test_no_pass_takes_the_housekeeper_from_its_other_duties(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_LONGEST_PASS", 0.0)
    monkeypatch.setattr(module, "_CHUNK", 1)
    for _ in range(3):
        make()
    looking = Scheduler(Memory())

    assert looking.run_due(NOW) == 0
    monkeypatch.setattr(module, "_LONGEST_PASS", 10.0)
    assert looking.run_due(NOW) == 3


def test_a_broker_of_one_s_own_without_bulk_is_enough() -> None:
    class Plain(Broker):
        kept: list[str] = []

        def enqueue(self, task: str) -> str:
            self.kept.append(task)
            return "1"

        def dequeue(self) -> Any:
            return None

    make()
    make()

    assert Scheduler(Plain()).run_due(NOW) == 2
    assert len(Plain.kept) == 2


def test_the_path_of_the_memory_broker_is_right() -> None:
    assert f"{Memory.__module__}.{Memory.__qualname__}" == MEMORY
