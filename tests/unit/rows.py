"""Rows for the tests of what keeps them."""

import datetime
from typing import Any

from django_q.package import Outcome, build_package
from django_q.results.base import Row, encode_row

#: When the runs start, unless a test says how many minutes later.
START = datetime.datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=datetime.UTC)


def make_row(result: Any = "done", *, success: bool = True, minute: int = 0, **columns: Any) -> Row:
    package = build_package("tests.site.tasks.noop", (1, "two"), {"three": 3}, {"group": "g"})
    started = START + datetime.timedelta(minutes=minute)
    stopped = started + datetime.timedelta(seconds=1)
    row = encode_row(Outcome(package, success, result, started, stopped))
    return row._replace(**columns)


def run_again(row: Row, result: Any, *, success: bool) -> Row:
    """Another run of the same task, a little later."""
    return make_row(result, success=success, minute=5, id=row.id)
