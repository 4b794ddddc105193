"""SQLite's page cache in a process that reads few pages: the housekeeper's.

SQLite keeps up to two megabytes of pages for each connection. The housekeeper fills them in the
course of some hundred thousand tasks, by counting and pruning, and hits few of them again: each
commit of a worker makes all of them void.
"""

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

#: What SQLite has if nobody says anything, in KiB below zero (https://sqlite.org/pragma.html).
_DEFAULT = -2000
#: What is enough: some pages of each table.
_SMALL = -128


def keep_small() -> None:
    """Let connections of this process, from now on, have a small cache."""
    connection_created.connect(_make_small)


def _make_small(connection: BaseDatabaseWrapper, **more: Any) -> None:
    """Make the cache of a new connection small, unless the project has chosen its size."""
    if connection.vendor != "sqlite":
        return
    chosen = connection.settings_dict["OPTIONS"].get("init_command") or ""
    raw: Any = connection.connection
    (size,) = raw.execute("PRAGMA cache_size").fetchone()
    if size == _DEFAULT and "cache_size" not in chosen.lower():
        raw.execute(f"PRAGMA cache_size = {_SMALL}")
