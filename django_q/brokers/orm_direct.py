"""The short way of one small statement to PostgreSQL: past the cursors of Django and psycopg.

A cursor of Django on one of psycopg takes some 100 us for a statement, psycopg without a cursor 25
(https://www.psycopg.org/psycopg3/docs/api/pq.html). And a text of many packages is quoted, decoded
and read by none of the three. For producers, whose tasks are seldom more than that, and for the
claim of the one row that an idle worker is told of.
"""

import functools
import hashlib
import math
from collections.abc import Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from django_q.brokers.orm_lists import as_lines
from django_q.brokers.orm_sql import statements
from django_q.brokers.orm_wait import channel
from django_q.past_cursors import is_observed

#: Django's own kinds of connections to PostgreSQL, and their cursors.
_WRAPPERS = ("django.db.backends.postgresql.base", "django.contrib.gis.db.backends.postgis.base")
#: How often a statement comes over one connection until it is prepared: as psycopg has it.
_OFTEN = 5
#: SQLSTATE: a statement of this name is prepared already.
_IS_PREPARED = b"42P05"
#: SQLSTATE: none is, since a pooler has changed servers or somebody deallocated all; its result
#: would be of another type than before.
_OUTDATED = (b"26000", b"0A000")


def is_open(connection: BaseDatabaseWrapper, values: Sequence[str]) -> bool:
    """Tell whether a statement with these values may go this way: nobody would miss the cursor.

    Not in a transaction, which psycopg's cursors begin; not where statements are logged or
    wrapped, or connections or cursors are somebody's own: a test's, for one, that may not write.
    Only ASCII, which every encoding has, and no NUL, which would end a value.
    """
    connection.close_if_health_check_failed()
    raw = connection.connection
    return (
        type(connection).__module__ in _WRAPPERS
        and type(raw) is getattr(_driver(connection), "Connection", None)  # psycopg2 has none
        and raw.autocommit
        and is_unobserved(connection)
        and raw.cursor_factory.__module__ in _WRAPPERS
        and all(value.isascii() and "\0" not in value for value in values)
    )


def is_unobserved(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether a connection is in no transaction, and nobody logs or wraps its statements."""
    return not (connection.in_atomic_block or is_observed(connection))


def insert(connection: BaseDatabaseWrapper, key: str, payloads: Sequence[str]) -> list[int] | None:
    """Insert rows that are ready, all or none; their ids. None where this way is closed."""
    is_one, sql = len(payloads) == 1, statements(connection)
    text = sql.insert_plain_and_tell if is_one else sql.insert_many_plain_and_tell
    packed = payloads[0] if is_one else as_lines(payloads)
    if packed is None or not is_open(connection, values := [key, packed, channel(key)]):
        return None
    return [int(id) for id, *_ in fetch(connection, text, values)]


def claim_told(
    connection: BaseDatabaseWrapper, values: Sequence[float | int | str]
) -> list[tuple[int, str, int]] | None:
    """Run the statement of this name: id, payload, deliveries. None where this way is closed."""
    texts = list(map(str, values))
    if not is_open(connection, texts):
        return None
    claimed = fetch(connection, _numbered(statements(connection).claim_told), texts)
    return [(int(id), payload, int(deliveries)) for id, payload, deliveries in claimed]


def fetch(connection: BaseDatabaseWrapper, text: str, values: Sequence[str]) -> list[list[str]]:
    """Run a statement that gives rows without NULL. Raises Django's database errors.

    `$1`, `$2`... stand for the values. The server keeps it prepared where it comes often. May be
    interrupted by signals, as cursors may.
    """
    raw, psycopg = connection.connection, _driver(connection)
    encoded = [value.encode() for value in values]
    with connection.wrap_database_errors, raw.lock:
        result = _run_prepared(connection, text, encoded) if _may_prepare(connection) else None
        if result is None:
            raw.pgconn.send_query_params(text.encode(), encoded)
            result, _ = _result(connection)
        if result.status != psycopg.pq.ExecStatus.TUPLES_OK:
            raise psycopg.errors.error_from_result(result)
    columns = range(result.nfields)
    return [
        [result.get_value(row, column).decode() for column in columns]
        for row in range(result.ntuples)
    ]


@functools.cache
def _numbered(text: str) -> str:
    """Give a statement for cursors, with `%s` for each value, in the form of `fetch`."""
    head, *parts = text.split("%s")
    return head + "".join(f"${number}{part}" for number, part in enumerate(parts, 1))


def _may_prepare(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether the settings speak of no pooler that would change servers in between."""
    settings = connection.settings_dict
    is_pooled = settings.get("DISABLE_SERVER_SIDE_CURSORS")
    return not is_pooled and settings["OPTIONS"].get("prepare_threshold", 0) is not None


def _run_prepared(connection: BaseDatabaseWrapper, text: str, values: list[bytes]) -> Any:
    """Run a statement that the server has read and planned before, once it has come often.

    None where it has not, or is not there after all: that is told before anything is done.
    """
    raw, name = connection.connection, _name_of(text)
    # How often each has come over this connection, with which that ends.
    uses: dict[str, float] = vars(raw).setdefault("django_q_uses", {})
    uses[text] = uses.get(text, 0) + 1
    if uses[text] == _OFTEN:
        raw.pgconn.send_prepare(name, text.encode())
        _, error = _result(connection)
        if error not in (None, _IS_PREPARED):
            uses[text] = -math.inf
    if uses[text] < _OFTEN:
        return None
    raw.pgconn.send_query_prepared(name, values)
    result, error = _result(connection)
    if error not in _OUTDATED:
        return result
    uses[text] = -math.inf
    return None


@functools.cache
def _name_of(text: str) -> bytes:
    """Name a statement so that no other has its name, whoever prepared it."""
    return f"django_q_{hashlib.sha256(text.encode()).hexdigest()[:32]}".encode()


def _result(connection: BaseDatabaseWrapper) -> tuple[Any, bytes | None]:
    """Wait for the answer to what was sent; with the SQLSTATE of an error."""
    raw, psycopg = connection.connection, _driver(connection)
    result = raw.wait(psycopg.generators.execute(raw.pgconn))[-1]
    return result, result.error_field(psycopg.pq.DiagnosticField.SQLSTATE)


def _driver(connection: BaseDatabaseWrapper) -> Any:
    """Give the module that Django has loaded for the connection; others need not load it."""
    return connection.Database  # type: ignore[attr-defined]
