"""A query whose SQL is made once gives what Django's own does."""

import datetime
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from django_q.models import Delayed, Schedule
from django_q.results import gatherings
from django_q.results.looks import Look
from django_q.schedule_rows import ScheduleRows
from tests.site import databases

every_database = pytest.mark.parametrize("database", databases.ALIASES, indirect=True)
pytestmark = every_database


def add(queue: str, minutes: int) -> Delayed:
    due = timezone.now() + datetime.timedelta(minutes=minutes)
    return Delayed.objects.create(task="0" * 32, queue=queue, payload="", due=due)


def test_a_look_gives_the_values_of_the_first_row(database: str) -> None:
    rows = Delayed.objects.filter(queue="mail").order_by("due").values_list("due", "queue", "pk")
    look = Look(lambda: rows)
    assert look.first() is None

    add("mail", 9)
    add("other", 1)
    first = add("mail", 5)

    assert look.first() == rows.first() == (first.due, "mail", first.pk)
    first.delete()
    assert look.first() == rows.first()
    assert look.first() != (first.due, "mail", first.pk)


def test_a_look_outlives_its_connection(database: str) -> None:
    add("mail", 5)
    look = Look(lambda: Delayed.objects.values_list("queue"))
    look.first()

    connections[database].close()

    assert look.first() == ("mail",)


def test_the_next_schedule_is_seen_as_it_changes(database: str, q_cluster: Any) -> None:
    rows = ScheduleRows("default")
    assert rows.next_due() is None

    late = Schedule.objects.create(func="math.sqrt", next_run=timezone.now())
    soon = late.next_run - datetime.timedelta(hours=1)
    early = Schedule.objects.create(func="math.sqrt", next_run=soon)

    assert rows.next_due() == soon == rows.active().first().next_run  # type: ignore[union-attr]
    early.delete()
    assert rows.next_due() == late.next_run


def test_a_gathering_is_pending_from_its_end_until_it_is_sent(database: str) -> None:
    pending = gatherings.Pending()
    assert not pending.is_any()

    gatherings.begin("g", "default", "payload", {})
    assert not pending.is_any()
    gatherings.close("g", 2)
    assert pending.is_any()
    gatherings.mark_sent(["g"])

    assert not pending.is_any()
