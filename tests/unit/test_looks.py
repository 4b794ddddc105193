"""Small questions by statements of our own give what Django's give."""

import datetime
import time
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_q.models import Delayed, Schedule, Task
from django_q.results import cancellations, gatherings
from django_q.results.looks import Look, Together, has_row, is_any
from django_q.schedule_rows import ScheduleRows
from tests.site import databases

every_database = pytest.mark.parametrize("database", databases.ALIASES, indirect=True)
pytestmark = every_database


def add(queue: str, minutes: int) -> Delayed:
    due = timezone.now() + datetime.timedelta(minutes=minutes)
    return Delayed.objects.create(task="0" * 32, queue=queue, payload="", due=due)


def look_at(queue: str, together: Together | None = None) -> Look:
    return Look(Delayed, "due", "WHERE {queue} = %s ORDER BY {due}", [queue], together)


def test_a_look_gives_what_django_does(database: str) -> None:
    rows = Delayed.objects.filter(queue="mail").order_by("due").values_list("due", flat=True)
    look, number = look_at("mail"), Look(Delayed, "COUNT(*)")
    assert look.value() is rows.first() is None

    add("mail", 9)
    add("other", 1)
    first = add("mail", 5)

    assert look.value() == rows.first() == first.due
    assert number.value() == Delayed.objects.count() == 3
    first.delete()
    assert look.value() == rows.first() != first.due


def test_a_row_is_there_or_not_in_any_of_the_tables(database: str) -> None:
    due = timezone.now()

    def has(queue: str, group: str) -> bool:
        return has_row(database, (Delayed, {"queue": queue}), (Task, {"group": group, "name": "n"}))

    assert not has("mail", "g")
    row = add("mail", 5)
    assert has("mail", "g")
    assert not has("other", "g")
    row.delete()
    task = Task.objects.create(id="0" * 32, name="n", func="f", started=due, stopped=due, group="g")
    assert has("mail", "g")
    assert not has("mail", "h")
    task.delete()
    assert not has("mail", "g")


def test_a_look_outlives_its_connection(database: str) -> None:
    row = add("mail", 5)
    look = look_at("mail")
    look.value()

    connections[database].close()

    assert look.value() == row.due


def test_a_table_has_rows_or_none(database: str) -> None:
    assert not is_any(Delayed)
    row = add("mail", 5)
    assert is_any(Delayed)
    row.delete()
    assert not is_any(Delayed)


class Site:
    """All that a housekeeper looks at, together or each alone."""

    def __init__(self, together: Together | None) -> None:
        self._delayed = [look_at(queue, together) for queue in ("mail", "other")]
        self._newest = cancellations.Newest(together)
        self._schedules = ScheduleRows("default", together)

    def look(self) -> list[Any]:
        found: list[Any] = [each.value() for each in self._delayed]
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
    together = Together()
    mail, other = look_at("mail", together), look_at("other", together)

    assert mail.value() is None
    first, second = add("mail", 5), add("other", 5)

    # It was asked along with the first, and is not asked again so soon.
    assert other.value() is None
    assert mail.value() == first.due
    assert other.value() == second.due


def test_what_came_along_long_ago_is_asked_anew(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [time.monotonic()]
    monkeypatch.setattr("django_q.results.looks.time.monotonic", lambda: now[0])
    together = Together()
    mail, other = look_at("mail", together), look_at("other", together)

    mail.value()
    row = add("other", 5)
    now[0] += 0.2

    assert other.value() == row.due


def test_the_trouble_of_one_is_not_that_of_the_others(database: str) -> None:
    together = Together()
    broken = Look(Delayed, "due", "WHERE no_such_column = 1", (), together)
    well = look_at("mail", together)
    row = add("mail", 5)

    for _ in range(2):
        assert well.value() == row.due
        with pytest.raises(DatabaseError):
            broken.value()


def test_all_of_them_fail_while_the_server_is_away(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = Together()
    mail, other = look_at("mail", together), look_at("other", together)
    connection = connections[database]
    connection.close()
    with monkeypatch.context() as away:
        away.setattr(connection, "connect", fail)
        for look in (mail, other):
            with pytest.raises(OperationalError, match="away"):
                look.value()
    row = add("other", 5)

    assert mail.value() is None
    assert other.value() == row.due


def fail() -> None:
    raise OperationalError("It is away.")


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
