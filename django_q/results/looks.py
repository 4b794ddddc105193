"""Small questions that are asked again and again: `Look` by the housekeeper, `has_row` by workers.

By statements of our own, made once: Django takes ten times as long to make one as a database to
answer it, and a process that has no other use for that part of Django has some megabytes more for
itself. And to an idle process each wait for an answer costs more than the answer, so those that
stand `Together` are one statement.
"""

import functools
import time
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import Error, connections, router
from django.db.models import Model

from django_q.results.trouble import told

#: Seconds for which an answer counts that came along with another one: less than a round's rest.
_FRESH = 0.1
#: Seconds for which each asks for itself after one statement for all has failed: the trouble of
#: one is not to be that of the others.
_APART = 60.0


class Look:
    """One value of one row of a table, or the number of rows. Used by one thread.

    `column` is the name of a field, which is NULL in no row that is looked at; or "COUNT(*)".
    `which` is the rest of the statement, with names of fields in braces, and `values` are its
    parameters. It is the first row that counts.
    """

    def __init__(
        self,
        model: type[Model],
        column: str,
        which: str = "",
        values: Sequence[Any] = (),
        together: "Together | None" = None,
    ) -> None:
        #: The database that is asked.
        self.alias: str = router.db_for_write(model)
        self.values = values
        self._model, self._column, self._which = model, column, which
        self._text = ""
        self._converters: list[Any] = []
        self._expression: Any = None
        self._together = together
        if together is not None:
            together.add(self)

    def value(self) -> Any:
        """Give it as Django would; None where there is no row. Raises Django's errors."""
        return self._together.value(self) if self._together else self.alone()

    def alone(self) -> Any:
        """Do the same by a statement of its own."""
        text = self.text
        with connections[self.alias].cursor() as cursor:
            cursor.execute(text, self.values)
            row = cursor.fetchone()
        return None if row is None else self.read(row[0])

    @property
    def text(self) -> str:
        """The statement."""
        if not self._text:
            self._prepare()
        return self._text

    def read(self, value: Any) -> Any:
        """Give what the database gave as Django would."""
        for convert in self._converters if value is not None else ():
            value = convert(value, self._expression, connections[self.alias])
        return value

    def _prepare(self) -> None:
        connection, meta = connections[self.alias], self._model._meta
        quote = connection.ops.quote_name
        columns = {f.name: quote(f.column) for f in meta.concrete_fields if f.column}
        column = columns.get(self._column, self._column)
        if self._column in columns:
            field: Any = meta.get_field(self._column)
            self._expression = field.get_col(meta.db_table)
            self._converters = connection.ops.get_db_converters(self._expression)
            self._converters += field.get_db_converters(connection)
        which = self._which.format(**columns)
        first = connection.ops.limit_offset_sql(0, 1)
        self._text = f"SELECT {column} FROM {quote(meta.db_table)} {which} {first}"  # noqa: S608


class Together:
    """Looks of one thread: who is asked first asks for all that are on the same database.

    Each answer is given once, and soon. So who acts on one, and looks again, sees what is new.
    """

    def __init__(self) -> None:
        self._looks: list[Look] = []
        self._found: dict[Look, Any] = {}
        self._stale_at = self._apart_until = 0.0

    def add(self, look: Look) -> None:
        """Take in one more."""
        self._looks.append(look)

    def value(self, look: Look) -> Any:
        """Do what `Look.value` does."""
        now = time.monotonic()
        if now >= self._stale_at:
            self._found.clear()
        if look not in self._found and (now < self._apart_until or not self._ask(look.alias)):
            return look.alone()
        return look.read(self._found.pop(look))

    def _ask(self, alias: str) -> bool:
        """Ask for all that are on a database; False where that cannot be."""
        these = [look for look in self._looks if look.alias == alias]
        connection = connections[alias]
        try:
            columns = ", ".join(f"({look.text})" for look in these)
            text = f"SELECT {columns}{connection.features.bare_select_suffix}"
            with connection.cursor() as cursor:
                cursor.execute(text, [value for look in these for value in look.values])
                row = cursor.fetchone()
        except Error:
            self._apart_until = time.monotonic() + _APART
            if connection.connection is None or not connection.is_usable():
                raise
            return False
        self._found.update(zip(these, row, strict=True))
        self._stale_at = time.monotonic() + _FRESH
        return True


def is_any(model: type[Model]) -> bool:
    """Tell whether a table has any row: most sites have none of most kinds.

    Raises ResultsUnavailable.
    """
    look = Look(model, model._meta.pk.name)
    with told(look.alias, f"The table {model._meta.db_table} cannot be read"):
        return look.value() is not None


def has_row(alias: str, *wanted: tuple[type[Model], Mapping[str, Any]]) -> bool:
    """Tell whether there is a row with these values, by name of field, in one of the tables.

    Raises Django's errors.
    """
    connection = connections[alias]
    which = tuple((model, *values) for model, values in wanted)
    with connection.cursor() as cursor:
        parameters = [value for _, values in wanted for value in values.values()]
        cursor.execute(_text_of(alias, connection.vendor, which), parameters)
        return cursor.fetchone() is not None


@functools.cache
def _text_of(alias: str, vendor: str, which: tuple[tuple[Any, ...], ...]) -> str:
    quote = connections[alias].ops.quote_name
    selects = []
    for model, *names in which:
        columns = [quote(model._meta.get_field(name).column) for name in names]
        where = " AND ".join(f"{column} = %s" for column in columns)
        selects.append(f"SELECT 1 FROM {quote(model._meta.db_table)} WHERE {where}")  # noqa: S608
    return " UNION ALL ".join(selects)
