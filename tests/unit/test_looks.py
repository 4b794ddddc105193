"""A query whose SQL is made once gives what Django's own does."""

import datetime
import time
from typing import Any

import pytest
from django.db import DatabaseError, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_q.models import Delayed, Schedule
from django_q.results import cancellations, gatherings
from django_q.results.looks import Look, Together
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


class Site:
    """All that a housekeeper looks at, together or each alone."""

    def __init__(self, together: Together | None) -> None:
        rows = Delayed.objects.order_by("due").values_list("due")
        self._delayed = [
            Look(lambda queue=queue: rows.filter(queue=queue), together)  # type: ignore[misc]
            for queue in ("mail", "other")
        ]
        self._newest = cancellations.Newest(together)
        self._schedules = ScheduleRows("default", together)

    def look(self) -> list[Any]:
        found: list[Any] = [each.first() for each in self._delayed]
        return [*found, self._newest.look(), self._schedules.next_due()]


def test_looks_that_stand_together_give_in_one_statement_what_each_alone_does(
    database: str, q_cluster: Any
) -> None:
    together, alone = Site(Together()), Site(None)
    nothing = [together.look(), alone.look()]
    add("other", 5)
    cancellations.ask(["a", "b"])
    Schedule.objects.create(func="math.sqrt", next_run=timezone.now())

    with CaptureQueriesContext(connections[database]) as asked:
        found = together.look()

    assert nothing == [[None, None, (0, None), None]] * 2
    assert found == alone.look()
    assert [value is None for value in found] == [True, False, False, False]
    assert len(asked) == 1


def test_who_looks_again_sees_what_is_new(database: str) -> None:
    rows = Delayed.objects.order_by("due").values_list("due")
    together = Together()
    mail = Look(lambda: rows.filter(queue="mail"), together)
    other = Look(lambda: rows.filter(queue="other"), together)

    assert mail.first() is None
    first, second = add("mail", 5), add("other", 5)

    # It was asked along with the first, and is not asked again so soon.
    assert other.first() is None
    assert mail.first() == (first.due,)
    assert other.first() == (second.due,)


def test_what_came_along_long_ago_is_asked_anew(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [time.monotonic()]
    monkeypatch.setattr("django_q.results.looks.time.monotonic", lambda: now[0])
    rows = Delayed.objects.order_by("due").values_list("due")
    together = Together()
    mail = Look(lambda: rows.filter(queue="mail"), together)
    other = Look(lambda: rows.filter(queue="other"), together)

    mail.first()
    row = add("other", 5)
    now[0] += 0.2

    assert other.first() == (row.due,)


def test_the_trouble_of_one_is_not_that_of_the_others(database: str) -> None:
    together = Together()
    rows = Delayed.objects.values_list("queue")
    broken = Look(lambda: rows.extra(where=["no_such_column = 1"]), together)
    well = Look(lambda: rows, together)
    add("mail", 5)

    for _ in range(2):
        assert well.first() == ("mail",)
        with pytest.raises(DatabaseError):
            broken.first()


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
