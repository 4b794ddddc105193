"""The short way of one small statement to PostgreSQL: past the cursors of Django and psycopg.

A cursor of Django on one of psycopg takes some 100 us for a statement, psycopg without a cursor 25
(https://www.psycopg.org/psycopg3/docs/api/pq.html). And a text of many packages is quoted, decoded
and read by none of the three. For producers, whose tasks are seldom more than that.
"""

from collections.abc import Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from django_q.brokers.orm_lists import as_lines
from django_q.brokers.orm_sql import statements
from django_q.brokers.orm_wait import channel

#: Django's own kinds of connections to PostgreSQL, and their cursors.
_WRAPPERS = ("django.db.backends.postgresql.base", "django.contrib.gis.db.backends.postgis.base")


def is_open(connection: BaseDatabaseWrapper, values: Sequence[str]) -> bool:
    """Tell whether a statement with these values may go this way: nobody would miss the cursor.

    Not in a transaction, which psycopg's cursors begin; not where statements are logged or
    wrapped, or connections or cursors are somebody's own. Only ASCII, which every encoding has, and
    no NUL, which would end a value.
    """
    connection.close_if_health_check_failed()
    raw = connection.connection
    return (
        type(connection).__module__ in _WRAPPERS
        and type(raw) is getattr(_driver(connection), "Connection", None)  # psycopg2 has none
        and raw.autocommit
        and not (connection.in_atomic_block or connection.queries_logged)
        and not connection.execute_wrappers
        and raw.cursor_factory.__module__ in _WRAPPERS
        and all(value.isascii() and "\0" not in value for value in values)
    )


def insert(connection: BaseDatabaseWrapper, key: str, payloads: Sequence[str]) -> list[int] | None:
    """Insert rows that are ready, all or none; their ids. None where this way is closed."""
    is_one, sql = len(payloads) == 1, statements(connection)
    text = sql.insert_plain_and_tell if is_one else sql.insert_many_plain_and_tell
    packed = payloads[0] if is_one else as_lines(payloads)
    if packed is None or not is_open(connection, values := [key, packed, channel(key)]):
        return None
    return list(map(int, fetch(connection, text, values)))


def fetch(connection: BaseDatabaseWrapper, text: str, values: Sequence[str]) -> list[str]:
    """Run a statement that gives rows; the first value of each. Raises Django's database errors.

    `$1`, `$2`... stand for the values. May be interrupted by signals, as cursors may.
    """
    raw, psycopg = connection.connection, _driver(connection)
    with connection.wrap_database_errors, raw.lock:
        raw.pgconn.send_query_params(text.encode(), [value.encode() for value in values])
        result = raw.wait(psycopg.generators.execute(raw.pgconn))[-1]
        if result.status != psycopg.pq.ExecStatus.TUPLES_OK:
            raise psycopg.errors.error_from_result(result)
    return [result.get_value(row, 0).decode() for row in range(result.ntuples)]


def _driver(connection: BaseDatabaseWrapper) -> Any:
    """Give the module that Django has loaded for the connection; others need not load it."""
    return connection.Database  # type: ignore[attr-defined]
