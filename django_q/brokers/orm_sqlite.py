"""The short way of one package into SQLite: past Django's cursor, half of what an insert takes.

For producers that send one task at a time. Its counterpart for PostgreSQL is `orm_direct`.
"""

from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

from django_q.brokers.orm_direct import is_unobserved
from django_q.brokers.orm_sql import moment, statements
from django_q.past_cursors import is_own_sqlite


def is_open(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether a statement may go this way: nobody would miss the cursor.

    Not in a transaction; not where statements are logged or wrapped, or connections or cursors are
    somebody's own: a test's, for one, that may not write.
    """
    if connection.vendor != "sqlite":
        return False
    # As a cursor does; in an event loop this raises.
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    return is_own_sqlite(connection) and connection.autocommit and is_unobserved(connection)


def insert(connection: BaseDatabaseWrapper, key: str, payloads: Sequence[str]) -> list[int] | None:
    """Insert one row that is ready; its id. None where this way is closed, or for more than one.

    Raises Django's database errors.
    """
    if len(payloads) != 1 or not is_open(connection):
        return None
    values = (key, payloads[0], moment(connection))
    with connection.wrap_database_errors:
        cursor = connection.connection.execute(statements(connection).insert_plain, values)
    return [cursor.lastrowid]
