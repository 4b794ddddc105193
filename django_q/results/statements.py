"""The SQL that writes rows into `django_q_task`, in the form of each database: `RowWriter`.

Used by the database store only. It decides nothing: errors come out as the database raised them.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import DataError, connections
from django.db.models import Model
from django.utils import timezone

from django_q.models import Task
from django_q.past_cursors import is_observed, is_own_sqlite
from django_q.results.base import Row

#: Bytes of the largest row: SQLite's default limit; PostgreSQL's is 7 % higher. MySQL says its own.
_LARGEST = 10**9
#: Bytes that a statement needs beside the three pickles.
_OVERHEAD = 8192
#: Bytes that every server takes, so that none is asked: half of the smallest default of a MySQL.
_NEVER_TOO_LARGE = 2**19
#: Where a row has moments.
_MOMENTS = [Row._fields.index(name) for name in ("started", "stopped", "enqueued", "run_at")]
#: Where it has texts of any length.
_TEXTS = [Row._fields.index(name) for name in ("args", "kwargs", "result")]
#: What ends the text of a moment in UTC.
_UTC = "+00:00"
#: Moments by which it is seen what a database's driver wants.
_SAMPLES = (datetime(2026, 1, 2, 3, 4, 5, 67, UTC), datetime(1999, 12, 31, tzinfo=UTC))
#: Columns that a run overwrites in the row of a failed one. `success` is not among them: MySQL
#: assigns from left to right, so what the conditions look at must come last.
_OVERWRITTEN = [name for name in Row._fields if name not in ("id", "attempt_count", "success")]

#: Rows in one statement of SQLite, which has room for 999 values at least.
_GROUP = 999 // len(Row._fields)

#: A row as the driver takes it.
Values = tuple[Any, ...]


class RowWriter:
    """Writes rows through the connection that the calling thread has to `alias`."""

    def __init__(self, alias: str) -> None:
        self.alias = alias

    @property
    def _connection(self) -> Any:
        return connections[self.alias]

    # -- new rows --------------------------------------------------------------------------

    def values(self, rows: Sequence[Row]) -> list[Values]:
        """Give what `insert` writes of rows. Raises DataError for one that is too large."""
        if not rows:
            return []
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
        texts = [filter(None, columns[place]) for place in _TEXTS]
        if sum(map(len, itertools.chain(*texts))) > _NEVER_TOO_LARGE:
            self._check_sizes(rows)
        adapt = self._adapter()
        for place in _MOMENTS:
            columns[place] = adapt(columns[place])
        return list(zip(*columns, strict=True))

    def insert(self, values: Sequence[Values]) -> None:
        """Write new rows in the fastest way; all or none, in the caller's transaction."""
        if self._can_copy:
            self.copy(values)
        elif self._can_group:
            self.insert_groups(values)
        else:
            self.insert_many(values)

    def insert_many(self, values: Sequence[Values]) -> None:
        """Write new rows with plain INSERT: the way that every database and driver has."""
        with self._connection.cursor() as cursor:
            cursor.executemany(self._insert_sql, values)

    def insert_groups(self, values: Sequence[Values]) -> None:
        """Write new rows with INSERT of many at once, which takes three quarters of the time.

        SQLite only: with each statement it lets go of the interpreter, and as it has the file
        locked, another worker waits as long as a task here goes on then.
        """
        connection = self._connection
        whole = len(values) - len(values) % _GROUP
        # Django's own cursor would look for placeholders in the long text each time.
        with connection.wrap_database_errors:
            cursor = connection.connection.cursor()
            for start in range(0, whole, _GROUP):
                group = values[start : start + _GROUP]
                cursor.execute(self._group_sql, tuple(itertools.chain.from_iterable(group)))
        if whole < len(values):
            self.insert_many(values[whole:])

    def copy(self, values: Sequence[Values]) -> None:
        """Write new rows with COPY, which takes about half the time (psycopg 3 only)."""
        connection = self._connection
        # Django turns the driver's errors into its own in execute(), but not in copy().
        with connection.cursor() as cursor, connection.wrap_database_errors:
            with cursor.copy(self._copy_sql) as copy:
                for row in values:
                    copy.write_row(row)

    # -- rows that may be there ------------------------------------------------------------

    def upsert(self, row: Row) -> None:
        """Write a row that is new, or over a failure of another run, which is one attempt more.

        A recorded success stays as it is, and so does the row of this very run.
        """
        with self._connection.cursor() as cursor:
            cursor.execute(self._upsert_sql, self.values([row])[0])

    # -- parts -----------------------------------------------------------------------------

    @functools.cached_property
    def _can_copy(self) -> bool:
        connection = self._connection
        return bool(connection.vendor == "postgresql" and connection.Database.__name__ == "psycopg")

    @property
    def _can_group(self) -> bool:
        connection = self._connection
        return is_own_sqlite(connection) and not is_observed(connection)

    @functools.cached_property
    def _columns(self) -> dict[str, str]:
        """The fields of a row with their quoted columns (`group` is a word of SQL)."""
        quote = self._connection.ops.quote_name
        columns = {field.name: quote(field.column) for field in Task._meta.concrete_fields}
        return {name: columns[name] for name in Row._fields}

    @functools.cached_property
    def _table(self) -> str:
        return str(self._connection.ops.quote_name(Task._meta.db_table))

    @functools.cached_property
    def _insert_sql(self) -> str:
        columns = ", ".join(self._columns.values())
        values = ", ".join(["%s"] * len(self._columns))
        return f"INSERT INTO {self._table} ({columns}) VALUES ({values})"  # noqa: S608

    @functools.cached_property
    def _group_sql(self) -> str:
        start, end, row = self._insert_sql.replace("%s", "?").rpartition("(")
        return f"{start}{', '.join([end + row] * _GROUP)}"

    @functools.cached_property
    def _copy_sql(self) -> str:
        return f"COPY {self._table} ({', '.join(self._columns.values())}) FROM STDIN"

    @functools.cached_property
    def _upsert_sql(self) -> str:
        if self._connection.vendor == "mysql":
            return self._insert_sql + self._mysql_conflict()
        return self._insert_sql + self._standard_conflict()

    def _standard_conflict(self) -> str:
        old = {name: f"{self._table}.{column}" for name, column in self._columns.items()}
        new = {name: f"excluded.{column}" for name, column in self._columns.items()}
        sets = [f"{self._columns[name]} = {new[name]}" for name in [*_OVERWRITTEN, "success"]]
        sets.append(f"{self._columns['attempt_count']} = {old['attempt_count']} + 1")
        same = " AND ".join(f"{old[name]} = {new[name]}" for name in ("started", "stopped"))
        return (
            f" ON CONFLICT ({self._columns['id']}) DO UPDATE SET {', '.join(sets)}"
            f" WHERE NOT {old['success']} AND NOT ({same})"
        )

    def _mysql_conflict(self) -> str:
        # There is no WHERE here: each column is told to stay. The count comes first and `started`,
        # `stopped`, `success` last, since each assignment sees those to its left.
        column = self._columns
        new = {name: f"VALUES({column[name]})" for name in column}
        same = " AND ".join(f"{column[name]} = {new[name]}" for name in ("started", "stopped"))
        stays = f"{column['success']} OR ({same})"
        sets = [("attempt_count", f"{column['attempt_count']} + 1")]
        last = ["started", "stopped"]
        sets += [(name, new[name]) for name in _OVERWRITTEN if name not in last]
        sets += [(name, new[name]) for name in last]
        parts = [f"{column[name]} = IF({stays}, {column[name]}, {value})" for name, value in sets]
        # A success stays one; over a failure, or over the same run, the new word is right.
        parts.append(f"{column['success']} = {column['success']} OR {new['success']}")
        return f" ON DUPLICATE KEY UPDATE {', '.join(parts)}"

    def _adapter(self) -> Callable[[Sequence[datetime | None]], list[Any]]:
        """Give what turns a column of moments into the driver's values: four in each row."""
        plain = self._plain_adapter()

        def usual(moments: Sequence[datetime | None]) -> list[Any]:
            return [moment and plain(moment) for moment in moments]

        def quick(moments: Sequence[datetime | None]) -> list[Any]:
            texts = map(str, moments)
            return [
                text[: -len(_UTC)] if text.endswith(_UTC) else moment and plain(moment)
                for moment, text in zip(moments, texts, strict=True)
            ]

        # A third of the work where the text is wanted, without its "+00:00".
        is_same = self._connection.timezone is UTC and quick(_SAMPLES) == usual(_SAMPLES)
        return quick if is_same else usual

    def _plain_adapter(self) -> Callable[[datetime], Any]:
        """Give what does so for any moment and database."""
        connection = self._connection
        adapt, zone = connection.ops.adapt_datetimefield_value, connection.timezone
        has_zones = connection.features.supports_timezones
        takes_text = connection.vendor in ("sqlite", "mysql")
        is_aware = settings.USE_TZ

        def adapted(moment: datetime) -> Any:
            if (moment.tzinfo is not None) != is_aware:
                moment = storable(moment)
            if moment.tzinfo is zone and not has_zones:
                # Django would turn it into the zone that it is in: 2 us for each.
                moment = moment.replace(tzinfo=None)
                if takes_text:
                    return str(moment)  # what it makes of it in the end
            return adapt(moment)

        return adapted

    def _check_sizes(self, rows: Sequence[Row]) -> None:
        for row in rows:
            texts = row.args, row.kwargs, row.result
            # Quicker than `size_of`, and hardly ever more than this.
            if sum(map(len, filter(None, texts))) > _NEVER_TOO_LARGE:
                check_size(self.alias, size_of(texts))


def size_of(texts: Sequence[str | None]) -> int:
    """Give the bytes that stored texts, which are ASCII, take in a statement: at most so many."""
    size = sum(len(text) for text in texts if text)
    if size > _NEVER_TOO_LARGE:
        # MySQL's driver writes a backslash before each of these: JSON is full of them.
        size += sum(text.count(mark) for text in texts if text for mark in "\"'\\")
    return size


def check_size(alias: str, size: int) -> None:
    """Refuse what the server would: MySQL hangs up on it, which looks as if it were away.

    Raises DataError.
    """
    if size > _NEVER_TOO_LARGE and size > (limit := _largest(alias)):
        raise DataError(
            f"it has {size} bytes, more than the {limit} that the database "
            f"{alias!r} ({connections[alias].vendor}) takes"
        )


def _largest(alias: str) -> int:
    connection = connections[alias]
    if connection.vendor != "mysql":
        return _LARGEST
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@max_allowed_packet")
        return int(cursor.fetchone()[0]) - _OVERHEAD


def storable(moment: datetime) -> datetime:
    """Give a moment as the database gives it back: aware where `USE_TZ` is set, else naive."""
    if (moment.tzinfo is not None) == settings.USE_TZ:
        return moment
    return timezone.make_aware(moment) if settings.USE_TZ else timezone.make_naive(moment)


def put(alias: str, rows: Sequence[Model], changed: Sequence[str]) -> None:
    """Write rows of one model in one statement; of those that are there, some columns."""
    if not rows:
        return
    model = type(rows[0])
    # MySQL asks no one which key it is that is there.
    takes_target = connections[alias].features.supports_update_conflicts_with_target
    model._base_manager.using(alias).bulk_create(
        rows,
        update_conflicts=True,
        update_fields=changed,
        unique_fields=["pk"] if takes_target else None,
    )
