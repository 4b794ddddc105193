"""The short way of one small statement to PostgreSQL: past the cursors of Django and psycopg.

A cursor of Django on one of psycopg takes some 100 us for a statement, psycopg without a cursor 25
(https://www.psycopg.org/psycopg3/docs/api/pq.html). For producers that send one task at a time.
"""

from collections.abc import Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

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


def fetch_one(connection: BaseDatabaseWrapper, text: str, values: Sequence[str]) -> str:
    """Run a statement that gives one row; its first value. Raises Django's database errors.

    `$1`, `$2`... stand for the values. May be interrupted by signals, as cursors may.
    """
    raw, psycopg = connection.connection, _driver(connection)
    with connection.wrap_database_errors, raw.lock:
        raw.pgconn.send_query_params(text.encode(), [value.encode() for value in values])
        result = raw.wait(psycopg.generators.execute(raw.pgconn))[-1]
        if result.status != psycopg.pq.ExecStatus.TUPLES_OK:
            raise psycopg.errors.error_from_result(result)
    return str(result.get_value(0, 0).decode())


def _driver(connection: BaseDatabaseWrapper) -> Any:
    """Give the module that Django has loaded for the connection; others need not load it."""
    return connection.Database  # type: ignore[attr-defined]
