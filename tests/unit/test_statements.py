"""How rows are written: each quick way gives what the plain one does."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import IntegrityError, connections, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from django_q.models import Task
from django_q.results.statements import RowWriter
from tests.site import databases
from tests.unit.rows import START, make_row

_MOMENTS = [
    datetime(2026, 1, 2, 3, 4, 5, 67, UTC),
    datetime(1999, 12, 31, tzinfo=UTC),
    datetime(2026, 7, 1, 12, 0, 0, 999_999, timezone(timedelta(hours=2))),
    datetime(2026, 1, 1, 12, tzinfo=ZoneInfo("Europe/London")),
    datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/London")),
    datetime(2026, 7, 1, 12, tzinfo=UTC),
    datetime(2026, 7, 1, 12),
]


everywhere = pytest.mark.parametrize("database", databases.ALIASES, indirect=True)


@pytest.mark.filterwarnings("ignore:.*naive datetime")
@pytest.mark.parametrize("zone", [None, "Europe/London"])
@pytest.mark.parametrize("use_tz", [True, False])
@everywhere
def test_moments_are_written_as_django_writes_them(
    database: str, use_tz: bool, zone: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connections[database]
    if not connection.features.supports_timezones:
        monkeypatch.setitem(connection.settings_dict, "TIME_ZONE", zone)
    with override_settings(USE_TZ=use_tz):
        for name in ("timezone", "timezone_name"):
            connection.__dict__.pop(name, None)
        writer = RowWriter(database)
        quick, plain = writer._adapter(), writer._plain_adapter()

        written = quick([*_MOMENTS, None])

        assert written == [*map(plain, _MOMENTS), None]
    for name in ("timezone", "timezone_name"):
        connection.__dict__.pop(name, None)


@everywhere
@pytest.mark.parametrize("count", [1, 51, 52, 53, 160])
def test_the_plain_way_writes_what_the_fast_way_writes(database: str, count: int) -> None:
    text = "tab\t, newline\n, backslash \\ and \\N"
    rows = [make_row(f"{text} {number}", name="a\tb\\N\n'\"%s") for number in range(count)]
    rows = sorted([*rows, make_row(hook=None)._replace(run_at=START, group=None)])
    writer = RowWriter(database)

    writer.insert(writer.values(rows))
    fast = list(Task.objects.order_by("pk").values())
    Task.objects.all().delete()
    writer.insert_many(writer.values(rows))
    plain = list(Task.objects.order_by("pk").values())

    assert fast == plain
    assert [row["id"] for row in fast] == [row.id for row in rows]


@pytest.mark.usefixtures("database")
def test_sqlite_writes_many_rows_in_one_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    writer, seen = RowWriter("default"), list[str]()
    connection: Any = connections["default"]
    connection.connection.set_trace_callback(seen.append)

    writer.insert(writer.values([make_row(number) for number in range(105)]))

    connection.connection.set_trace_callback(None)
    assert len([text for text in seen if "INSERT" in text]) == 3


@pytest.mark.usefixtures("database")
def test_who_watches_the_statements_of_a_connection_sees_them_all() -> None:
    writer, rows = RowWriter("default"), [make_row(number) for number in range(60)]

    with CaptureQueriesContext(connections["default"]) as queries:
        writer.insert(writer.values(rows))

    assert len(queries) == 1
    assert Task.objects.count() == 60


class _NoCursor(Exception):
    """Raised by a connection that may not be used."""


@pytest.mark.usefixtures("database")
def test_a_test_that_may_not_use_a_connection_writes_nothing_there() -> None:
    writer, rows = RowWriter("default"), [make_row(number) for number in range(60)]
    values = writer.values(rows)

    def refuse(*args: Any) -> Any:
        raise _NoCursor

    # As Django's SimpleTestCase does it.
    with pytest.MonkeyPatch.context() as patch, pytest.raises(_NoCursor):
        # By the dict: undone, an attribute would stay where there was none.
        patch.setitem(vars(connections["default"]), "cursor", refuse)
        writer.insert(values)

    assert not Task.objects.exists()


@pytest.mark.usefixtures("database")
def test_a_row_that_is_there_already_lets_none_of_its_group_be_written() -> None:
    writer, rows = RowWriter("default"), [make_row(number) for number in range(60)]

    with pytest.raises(IntegrityError), transaction.atomic():
        writer.insert(writer.values([*rows, rows[3]]))

    assert not Task.objects.exists()
