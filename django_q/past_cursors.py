"""Whether a statement may go past Django's cursors to the driver: nobody would miss them."""

from typing import Any

#: Django's own kinds of connections to SQLite.
_SQLITE = (
    "django.db.backends.sqlite3.base",
    "django.contrib.gis.db.backends.spatialite.base",
)


def is_observed(connection: Any) -> bool:
    """Tell whether somebody logs or wraps the statements of a connection, or has its cursors.

    A test of the project's, for one, that may not write.
    """
    return bool(
        connection.queries_logged or connection.execute_wrappers or "cursor" in vars(connection)
    )


def is_own_sqlite(connection: Any) -> bool:
    """Tell whether an open connection to SQLite is of Django's own kind, and its driver's."""
    return (
        type(connection).__module__ in _SQLITE
        and type(connection.connection) is connection.Database.Connection
    )
