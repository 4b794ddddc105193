"""Schedules that cannot run, and servers that are away: nobody else is hurt."""

from datetime import timedelta
from typing import Any, NoReturn

import pytest
from django.db import OperationalError, connections
from django.utils import timezone

from django_q import scheduler as module
from django_q.brokers.memory import Memory
from django_q.conf import Conf
from django_q.exceptions import (
    BrokerError,
    BrokerUnavailable,
    ConfigurationError,
    PayloadTooLarge,
    ResultsUnavailable,
)
from django_q.models import Schedule
from django_q.schedule_rows import ScheduleRows
from django_q.scheduler import Scheduler
from tests.site import databases
from tests.unit.planned import NOW, Configure, make, run, sent

everywhere = pytest.mark.parametrize("database", databases.ALIASES, indirect=True)


@pytest.fixture(autouse=True)
def orm(database: str, q_cluster: Configure) -> str:
    """Packages in the database of the schedules."""
    q_cluster(orm=database)
    return database


class Refusing(Memory):
    """Takes no package."""

    error: BrokerError = BrokerUnavailable("The server is away.")

    def enqueue_many(self, tasks: Any, *, delay: float = 0.0) -> NoReturn:
        raise self.error


class Choosy(Memory):
    """Refuses packages in which a word stands, as too large."""

    def enqueue_many(self, tasks: Any, *, delay: float = 0.0) -> list[str]:
        tasks = list(tasks)
        if any(len(task) > 2000 for task in tasks):
            raise PayloadTooLarge("More than 2000 bytes.")
        return super().enqueue_many(tasks, delay=delay)


BROKEN: list[dict[str, Any]] = [
    {"args": "datetime.datetime(2026, 1, 1)"},
    {"kwargs": "when=now()"},
    {"kwargs": "5"},
    {"func": "nothing"},
    {"schedule_type": "C", "cron": "nonsense"},
    {"schedule_type": "C", "cron": None},
    {"schedule_type": "S"},
    {"schedule_type": "X"},
    {"kwargs": "{'q_options': {'timeout': 'long'}}"},
    {"kwargs": "{'q_options': 5}"},
    {"kwargs": "{'timeout': 'long'}"},
    {"args": "(" * 300},
]


@everywhere
@pytest.mark.parametrize("broken", BROKEN, ids=str)
def test_d7_a_broken_schedule_is_disabled_with_its_error_and_the_others_go_on(
    database: str, broken: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    make(name="first", next_run=NOW - timedelta(seconds=3))
    bad = make(name="bad", next_run=NOW - timedelta(seconds=2), **broken)
    make(name="last")

    packages = [package for _ in range(3) for package in run()]

    assert [package["group"] for package in packages] == ["first", "last"]
    bad.refresh_from_db()
    assert not bad.enabled
    assert bad.error
    assert bad.next_run == NOW - timedelta(seconds=2)
    told = [record for record in caplog.records if "is disabled" in record.message]
    assert len(told) == 1
    assert bad.error in told[0].message


def test_d8_arguments_that_cannot_be_read_are_never_taken_as_none() -> None:
    make(kwargs="when=datetime.datetime(2026, 1, 1)")

    assert run() == []
    assert "when=datetime" in (Schedule.objects.get().error or "")


def test_an_error_of_the_settings_disables_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    make(schedule_type="D")
    monkeypatch.setattr(Conf, "TIME_ZONE", "Europe/Nowhere")

    with pytest.raises(ConfigurationError):
        run()

    assert Schedule.objects.get().enabled


def test_a_package_too_large_for_the_broker_disables_its_schedule_alone() -> None:
    make(name="small")
    make(name="large", args=repr(("x" * 3000,)))
    make(name="small too")

    packages = run(Choosy())

    assert [package["group"] for package in packages] == ["small", "small too"]
    assert Schedule.objects.get(enabled=False).name == "large"


def test_a_broken_schedule_that_is_mended_and_enabled_runs_again() -> None:
    bad = make(name="bad", args="oops", next_run=NOW)
    run()
    bad.refresh_from_db()

    bad.args, bad.enabled = "(4,)", True
    bad.save()

    bad.refresh_from_db()
    assert (bad.error, bad.enabled) == (None, True)
    assert bad.next_run > timezone.now()
    assert len(run(now=bad.next_run)) == 1


# Servers that are away.


@everywhere
def test_nothing_moves_when_the_broker_is_away(database: str) -> None:
    schedule = make()

    with pytest.raises(BrokerUnavailable):
        run(Refusing())

    after = Schedule.objects.get(pk=schedule.pk)
    assert (after.next_run, after.task, after.enabled) == (schedule.next_run, None, True)
    assert len(run()) == 1


def test_another_queue_that_refuses_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "get_broker", lambda queue: Refusing(queue))
    make(name="else", kwargs="{'q_options': {'cluster': 'other'}}", next_run=NOW - timedelta(1))
    make(name="own")
    own = Memory()
    looking = Scheduler(own)

    for _ in range(3):
        looking.run_due(NOW)

    assert [package["group"] for package in sent(own)] == ["own"]
    assert len([r for r in caplog.records if "queue other" in r.message]) == 1
    assert Schedule.objects.get(name="else").enabled


def test_a_database_that_is_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    make()
    looking = Scheduler(Memory())
    with connections["default"].cursor() as cursor:
        cursor.execute("ALTER TABLE django_q_schedule RENAME TO gone")
    try:
        with pytest.raises(ResultsUnavailable, match="no such table"):
            looking.look()
    finally:
        with connections["default"].cursor() as cursor:
            cursor.execute("ALTER TABLE gone RENAME TO django_q_schedule")
    assert looking.run_due(NOW) == 1


def test_a_database_that_is_away_is_told_in_one_line(database: str) -> None:
    rows = ScheduleRows("somebody's")

    with pytest.raises(ResultsUnavailable) as caught, rows.watched():
        raise OperationalError("connection refused\n\tIs the server running on that host?")

    assert str(caught.value).endswith("OperationalError: connection refused.")
    assert "\n" not in str(caught.value)
