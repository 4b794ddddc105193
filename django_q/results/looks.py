"""Queries that the housekeeper asks again and again for as long as a cluster lives: `Look`.

For such a query Django works ten times as long on its SQL as a database on the answer.
"""

from collections.abc import Callable
from typing import Any

from django.db import connections
from django.db.models import QuerySet


class Look:
    """The first row of a query whose SQL is made once. Used by one thread."""

    def __init__(self, make: "Callable[[], QuerySet[Any, Any]]") -> None:
        # Called at the first look: some servers are asked for their version first.
        self._make = make
        self._ready: tuple[Any, Any, str, Any] | None = None

    def first(self) -> tuple[Any, ...] | None:
        """Give its values as Django would; None where there is no row.

        `make` gives values (`values_list`), and nothing in the query depends on the moment. Raises
        the database's errors.
        """
        if self._ready is None:
            rows = self._make()
            connection = connections[rows.db]
            compiler = rows[:1].query.get_compiler(connection=connection)
            self._ready = connection, compiler, *compiler.as_sql()
        connection, compiler, text, values = self._ready
        with connection.cursor() as cursor:
            cursor.execute(text, values)
            row = cursor.fetchone()
        return None if row is None else tuple(next(iter(compiler.results_iter([[row]]))))
