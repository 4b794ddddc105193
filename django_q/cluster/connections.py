"""The database connections of a thread that runs tasks, between two of them."""

from collections.abc import Sequence

from django.conf import settings
from django.db import connections, reset_queries
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from django_q.conf import logger


class OpenConnections:
    """Leaves the connections of one thread, and does not even look where none was opened."""

    def __init__(self) -> None:
        self._kept: Sequence[BaseDatabaseWrapper] = ()
        self._may_be_more = True
        connection_created.connect(self._on_created)

    def _on_created(self, **kwargs: object) -> None:
        # Whichever thread it was: one look too many does no harm.
        self._may_be_more = True

    def leave(self) -> Sequence[BaseDatabaseWrapper]:
        """Do and give the same as `leave_connections`."""
        if self._may_be_more or self._kept:
            self._may_be_more = False
            self._kept = leave_connections()
        return self._kept


def leave_connections() -> Sequence[BaseDatabaseWrapper]:
    """Leave this thread's connections as after a request; gives those that stay open.

    One that a task left in a transaction is closed, so that this rolls back.
    """
    try:
        if settings.DEBUG:
            reset_queries()
        return [each for each in connections.all(initialized_only=True) if _stays(each)]
    except Exception:  # the end of a broken connection must not be the end of the worker
        logger.exception("A database connection could not be closed")
        return connections.all(initialized_only=True)


def _stays(connection: BaseDatabaseWrapper) -> bool:
    if connection.in_atomic_block:
        connection.close()
        # One that was closed within a block never gets out of it.
        del connections[connection.alias]
        return False
    connection.close_if_unusable_or_obsolete()
    return connection.connection is not None
