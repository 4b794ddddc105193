"""Each list opens in under 100 ms and with under 12 queries, however long its table is.

`LONG=1 make test ARGS=tests/admin/test_speed.py` has a million rows in every table, which takes
some minutes to make; otherwise there are 20,000.
"""

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_q.models import Failure, Ledger, OrmQ, Rejected, Schedule, Success, Task, Tracked

from .desk import make_queued, make_task, page

ROWS = 1_000_000 if os.environ.get("LONG") == "1" else 20_000
#: Seconds and queries that a list may take. The short form runs beside other work: what it guards
#: is that no list reads all rows, which shows far beyond.
LIMIT = 0.1 if os.environ.get("LONG") == "1" else 0.4
QUERIES = 12
#: Visits of which the quickest counts: what is measured is the page, not its neighbours. Where
#: these leave it no time, more.
VISITS, MORE_VISITS = 5, 40

_FRAME = '  File "/srv/shop/orders/views.py", line {0}, in step_{0}\n    return step(order)\n'
ERROR = "No such order : Traceback (most recent call last):\n" + "".join(
    map(_FRAME.format, range(25))
)
_AGO = "now() - (%(rows)s - n) * interval '1 second'"
#: For each table: columns that differ from row to row, as SQL of the row's number n.
DIFFERING = {
    Task: {
        "id": "md5(n::text || t.id)",
        "name": "'task-' || n",
        "func": "'shop.tasks.f' || n %% 50",
        "group": "'group-' || n %% 2000",
        "cluster": "(ARRAY['default', 'reports', 'mail'])[1 + n %% 3]",
        "enqueued": f"{_AGO} - interval '2 seconds'",
        "started": _AGO,
        "stopped": f"{_AGO} + interval '0.7 seconds'",
    },
    OrmQ: {"key": "(ARRAY['default', 'reports', 'mail'])[1 + n %% 3]"},
    Ledger: {"key": "md5(n::text)"},
    Rejected: {
        "queue": "(ARRAY['default', 'reports', 'mail'])[1 + n %% 3]",
        "rejected": _AGO,
        "digest": "md5(n::text)",
    },
    Schedule: {"name": "'schedule-' || n", "next_run": "now() + n * interval '1 second'"},
    Tracked: {
        "id": "md5(n::text)",
        "func": "'shop.tasks.f' || n %% 50",
        "queue": "(ARRAY['default', 'reports', 'mail'])[1 + n %% 3]",
        "state": "CASE WHEN n < 10 THEN 'running' ELSE 'queued' END",
        "enqueued": _AGO,
    },
}


def multiply(model: Any) -> None:
    """Make many rows of those that a table has."""
    own = {field.column for field in model._meta.concrete_fields}
    own -= {"id"} - set(DIFFERING[model])
    quote = connections["postgres"].ops.quote_name
    columns = ", ".join(map(quote, sorted(own)))
    values = ", ".join(DIFFERING[model].get(name, f"t.{quote(name)}") for name in sorted(own))
    table = model._meta.db_table
    with connections["postgres"].cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({columns}) SELECT {values} "  # noqa: S608 (ours)
            f"FROM generate_series(1, %(rows)s) n, {table} t",
            {"rows": ROWS},
        )
        cursor.execute(f"VACUUM ANALYZE {table}")


@pytest.fixture
def long_tables(database: str, client: Client) -> Iterator[None]:
    """As many rows in each table as the test asks for, and as many failures as successes."""
    make_task({"weight": 1.5}, args=(1, "two"))
    make_task(ERROR, success=False, args=(1, "two"))
    row = make_queued(4711, group="orders")
    Ledger.objects.create(key="a", deaths=1, reason="Killed by signal 9.")
    Rejected.objects.create(queue="a", payload=row.payload, reason="BadSignature", digest="a")
    Schedule.objects.create(func="shop.tasks.remind", schedule_type=Schedule.DAILY)
    Tracked.objects.create(id="a", enqueued=timezone.now())
    for model in DIFFERING:
        multiply(model)
    yield
    tables = ", ".join(model._meta.db_table for model in DIFFERING)
    with connections["postgres"].cursor() as cursor:
        cursor.execute(f"TRUNCATE {tables}")


def visit(client: Client, address: str) -> tuple[float, int]:
    """The time of the quickest of some visits, and the queries of one."""
    times: list[float] = []
    while len(times) < VISITS or (len(times) < MORE_VISITS and min(times) >= LIMIT):
        with CaptureQueriesContext(connections["postgres"]) as queries:
            begin = time.perf_counter()
            assert client.get(address).status_code == 200
            times.append(time.perf_counter() - begin)
    return min(times), len(queries)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_each_list_is_quick_with_long_tables(client: Client, long_tables: None) -> None:
    addresses = [
        page(model) for model in (Success, Failure, OrmQ, Rejected, Ledger, Schedule, Tracked)
    ]
    addresses += [page(Tracked) + query for query in ("?state=running", "?queue=mail", "?q=00")]
    addresses += [
        page(Failure) + query
        for query in (
            "?q=zzz",
            "?q=task-1",
            "?func=shop.tasks.f7",
            "?group=group-7",
            "?o=2",
            "?p=9",
        )
    ]

    found = {address: visit(client, address) for address in addresses}

    lines = [f"{took * 1000:6.1f} ms {number:3} queries  {address}"
             for address, (took, number) in found.items()]  # fmt: skip
    print(f"{ROWS:,} rows in each table:", *lines, sep="\n")
    assert all(took < LIMIT and number < QUERIES for took, number in found.values())
