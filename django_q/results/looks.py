"""Queries that the housekeeper asks again and again for as long as a cluster lives: `Look`.

For such a query Django works ten times as long on its SQL as a database on the answer; and to an
idle process each wait for an answer costs more than the answer. So the SQL is made once, and those
that stand `Together` are one statement.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from django.db import Error, connections
from django.db.models import QuerySet

#: Seconds for which an answer counts that came along with another one: less than a round's rest.
_FRESH = 0.1
#: Seconds for which each asks for itself after one statement for all has failed: the trouble of
#: one is not to be that of the others.
_APART = 60.0


class Look:
    """The first row of a query whose SQL is made once. Used by one thread.

    `make` gives values (`values_list`), and nothing in the query depends on the moment. Where it
    stands `together` with others, that is one column, which is NULL in no row.
    """

    def __init__(
        self, make: "Callable[[], QuerySet[Any, Any]]", together: "Together | None" = None
    ) -> None:
        # Called at the first look: some servers are asked for their version first.
        self._make = make
        self._ready: tuple[Any, Any, str, Any] | None = None
        self._together = together
        if together is not None:
            together.add(self)

    def first(self) -> tuple[Any, ...] | None:
        """Give its values as Django would; None where there is no row. Raises Django's errors."""
        if self._together is not None:
            return self._together.first(self)
        return self.alone()

    def alone(self) -> tuple[Any, ...] | None:
        """Do the same by a statement of its own."""
        connection, _, text, values = self.prepared()
        with connection.cursor() as cursor:
            cursor.execute(text, values)
            row = cursor.fetchone()
        return self.read(row)

    def prepared(self) -> tuple[Any, Any, str, Any]:
        """Give the connection, Django's compiler, and the SQL with its values."""
        if self._ready is None:
            rows = self._make()
            connection = connections[rows.db]
            compiler = rows[:1].query.get_compiler(connection=connection)
            self._ready = connection, compiler, *compiler.as_sql()
        return self._ready

    def read(self, row: Sequence[Any] | None) -> tuple[Any, ...] | None:
        """Give what the database gave as Django would."""
        _, compiler, _, _ = self.prepared()
        return None if row is None else tuple(next(iter(compiler.results_iter([[row]]))))


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

    def first(self, look: Look) -> tuple[Any, ...] | None:
        """Do what `Look.first` does."""
        now = time.monotonic()
        if now >= self._stale_at:
            self._found.clear()
        if look not in self._found:
            if now < self._apart_until or not self._ask(look):
                return look.alone()
        value = self._found.pop(look)
        return None if value is None else look.read([value])

    def _ask(self, look: Look) -> bool:
        """Ask for all that are on the database of this one; False where that cannot be."""
        connection = look.prepared()[0]
        try:
            these = [each for each in self._looks if each.prepared()[0] is connection]
            texts, values = zip(*(each.prepared()[2:] for each in these), strict=True)
            columns = ", ".join(f"({text})" for text in texts)
            text = f"SELECT {columns}{connection.features.bare_select_suffix}"
            with connection.cursor() as cursor:
                cursor.execute(text, [value for some in values for value in some])
                row = cursor.fetchone()
        except Error:
            self._apart_until = time.monotonic() + _APART
            if connection.connection is None or not connection.is_usable():
                raise
            return False
        self._found.update(zip(these, row, strict=True))
        self._stale_at = time.monotonic() + _FRESH
        return True
