"""What the processes of a cluster have in common after a fork. Called by the one that forks.

A page of memory is shared until somebody writes to it, and what a child loads is its own.
"""

import contextlib
import gc
import importlib
from collections.abc import Iterable

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.utils import load_backend

from django_q.cluster.child import ROLES
from django_q.exceptions import ConfigurationError

#: What is loaded in any case, and elsewhere not before it is first needed.
_NEEDED = (
    ROLES,
    # Django, at the first statement.
    "django.db.models.sql.compiler",
    # The standard library, at the first child.
    "multiprocessing.popen_fork",
    # The housekeeper, which looks into the modules `tasks` of all apps, and this is one.
    "django_q.tasks",
)


def preload(paths: Iterable[str]) -> None:
    """Import modules of the project that its workers are to share.

    Raises ConfigurationError for one that cannot be imported.
    """
    for path in paths:
        try:
            importlib.import_module(path)
        except Exception as error:  # code of the project
            raise ConfigurationError(
                f'Q_CLUSTER["preload"] names {path!r}, which cannot be imported: '
                f"{type(error).__name__}: {error}"
            ) from error


def disconnect() -> None:
    """Close this thread's database connections, and the pools of all threads.

    A fork must share no connection, and is not safe beside the threads that a pool has.
    """
    connections.close_all()
    for alias in connections:
        with contextlib.suppress(ImportError, ImproperlyConfigured):
            # Backends that can have a pool have this, and Django says nothing of it.
            getattr(connections[alias], "close_pool", _nothing)()


def _nothing() -> None:
    """Stand in for `close_pool`."""


def prepare_fork() -> None:
    """Load what all children need, and let the garbage collector touch nothing of that."""
    for path in _NEEDED:
        importlib.import_module(path)
    for alias in connections:
        # One that cannot be used is not necessarily in use.
        with contextlib.suppress(ImportError, ImproperlyConfigured):
            load_backend(connections.settings[alias]["ENGINE"])
    gc.collect()
    gc.freeze()
