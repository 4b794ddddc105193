"""The values of a row as its database takes them: the quick way gives what the plain one does."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from django.db import connections
from django.test import override_settings

from django_q.results.statements import RowWriter
from tests.site import databases

_MOMENTS = [
    datetime(2026, 1, 2, 3, 4, 5, 67, UTC),
    datetime(1999, 12, 31, tzinfo=UTC),
    datetime(2026, 7, 1, 12, 0, 0, 999_999, timezone(timedelta(hours=2))),
    datetime(2026, 1, 1, 12, tzinfo=ZoneInfo("Europe/London")),
    datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/London")),
    datetime(2026, 7, 1, 12, tzinfo=UTC),
    datetime(2026, 7, 1, 12),
]


@pytest.mark.filterwarnings("ignore:.*naive datetime")
@pytest.mark.parametrize("zone", [None, "Europe/London"])
@pytest.mark.parametrize("use_tz", [True, False])
@pytest.mark.parametrize("database", databases.ALIASES, indirect=True)
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
