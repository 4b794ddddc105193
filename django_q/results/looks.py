"""Queries that the housekeeper asks twice a second for as long as a cluster lives: `Look`.

For such a query Django works ten times as long on its SQL as a database on the answer.
"""

from typing import Any

from django.db import connections
from django.db.models import QuerySet


class Look:
    """The first row of a query whose SQL is made once. Used by the thread that made it.

    `rows` gives values (`values_list`), and nothing in it depends on the moment. Raises the
    database's errors.
    """

    def __init__(self, rows: "QuerySet[Any, Any]") -> None:
        self._connection = connections[rows.db]
        self._compiler = rows[:1].query.get_compiler(connection=self._connection)
        self._sql, self._params = self._compiler.as_sql()

    def first(self) -> tuple[Any, ...] | None:
        """Give its values as Django would; None where there is no row."""
        with self._connection.cursor() as cursor:
            cursor.execute(self._sql, self._params)
            row = cursor.fetchone()
        if row is None:
            return None
        return tuple(next(iter(self._compiler.results_iter([[row]]))))
