"""Schedules that do not run as they should are told, each once."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from django_q.brokers import get_broker
from django_q.brokers.memory import Memory
from django_q.cluster.timetable import Timetable
from django_q.conf import Conf
from django_q.models import Schedule
from django_q.punctuality import unpunctual
from django_q.status import Stat
from tests.site import databases
from tests.unit.planned import NOW, Configure, make

LATE = NOW - timedelta(seconds=75)


@pytest.fixture(autouse=True)
def settings(database: str, q_cluster: Configure) -> Configure:
    q_cluster(orm=database)
    return q_cluster


def told(served: Any = None) -> dict[str, str]:
    return {found.name: found.reason for found in unpunctual(NOW, served)}


@pytest.mark.parametrize("database", databases.ALIASES, indirect=True)
def test_what_is_late_broken_or_unserved_is_told_and_nothing_else(database: str) -> None:
    make(name="late", next_run=LATE)
    make(name="broken", enabled=False, error="no such thing")
    make(name="foreign", cluster="other", next_run=NOW + timedelta(days=1))
    for name, columns in {
        "due": {"next_run": NOW - timedelta(seconds=30)},
        "paused": {"enabled": False, "next_run": LATE},
        "done": {"repeats": 0, "next_run": LATE},
        "never": {"next_run": None},
        "empty": {"cluster": "", "next_run": NOW},
    }.items():
        make(name=name, **columns)
    usual = {"late": "is overdue by 75 s", "broken": "is disabled: no such thing"}

    assert told() == told({"default", "other"}) == usual
    foreign = "waits for a cluster that serves the queue other; none runs"
    assert told({"default"}) == usual | {"foreign": foreign}


def test_a_schedule_without_a_name_is_told_by_its_function() -> None:
    make(next_run=LATE)

    assert list(told()) == ["math.sqrt"]


@pytest.fixture
def timetable() -> Iterator[Timetable]:
    """One whose cluster has sent a heartbeat."""
    broker = get_broker()
    Stat("4e5bbd0a-6a2e-4f4c-9a42-6f2b3a9f6f11", 1, queue="default", status=Conf.IDLE).save(broker)
    yield Timetable(broker)


def test_the_log_tells_each_once_and_again_when_it_happens_again(
    timetable: Timetable, caplog: pytest.LogCaptureFixture
) -> None:
    late = make(name="mine", next_run=timezone.now() - timedelta(minutes=2))
    make(name="foreign", cluster="other", next_run=timezone.now() + timedelta(days=1))
    make(name="broken", enabled=False, error="told when it was disabled")
    caplog.set_level(logging.WARNING, "django-q")

    for _ in range(3):
        timetable.tell()
    lines = [record.message for record in caplog.records]
    assert len(lines) == 2
    assert f"Schedule mine ({late.pk}) is overdue by 1" in lines[0]
    assert "foreign" in lines[1]

    Schedule.objects.filter(pk=late.pk).update(next_run=timezone.now())
    timetable.tell()
    Schedule.objects.filter(pk=late.pk).update(next_run=late.next_run)
    timetable.tell()
    assert [record.message[:40] for record in caplog.records][2:] == [lines[0][:40]]


def test_who_does_not_see_its_own_heartbeat_calls_no_queue_unserved(
    caplog: pytest.LogCaptureFixture,
) -> None:
    make(cluster="other", next_run=timezone.now() + timedelta(days=1))
    timetable = Timetable(Memory())

    timetable.tell()
    timetable.tell()

    assert not caplog.records


def test_declared_schedules_are_made_once_for_each_start(settings: Configure) -> None:
    declared = {"one": {"func": "math.sqrt", "args": [4], "schedule_type": "hourly"}}
    settings(orm="default", schedules=declared)
    timetable = Timetable(get_broker())

    timetable.synchronise()
    Schedule.objects.all().delete()
    timetable.synchronise()

    assert not Schedule.objects.exists()
