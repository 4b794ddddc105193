"""The databases of the test project, and which of them everything goes to.

The servers start on first use, long after the settings were read: `add` lets them in then. A child
process finds their ports in the environment when it reads the settings.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connections

#: Every alias a test can ask for.
ALIASES = ("default", "postgres", "mariadb")
#: Seconds that connections to servers stay open after a task.
AGE = "TEST_CONN_MAX_AGE"
#: Seconds that SQLite waits for a lock, if not 20.
PATIENCE = "TEST_SQLITE_TIMEOUT"
#: The alias that the router names, in this process and in its children.
CHOICE = "TEST_ALIAS"


class Router:
    """Sends every model to the alias in `TEST_ALIAS`, read at each use so that tests can switch."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        """The chosen alias."""
        return os.environ.get(CHOICE, "default")

    db_for_write = db_for_read

    def allow_relation(self, *objects: Any, **hints: Any) -> bool:
        """Rows of one test are all on one alias."""
        return True


def sqlite(directory: str | None) -> dict[str, Any]:
    """A file in WAL mode, shared by processes; without a directory a database in memory."""
    if directory is None:
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    options = {
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
        "transaction_mode": "IMMEDIATE",
        "timeout": float(os.environ.get(PATIENCE, "20")),
    }
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.path.join(directory, "default.sqlite3"),
        "OPTIONS": options,
    }


def server(alias: str, port: int) -> dict[str, Any]:
    """The entry for one of our database servers."""
    engine, user = {"postgres": ("postgresql", "postgres"), "mariadb": ("mysql", "root")}[alias]
    # PyMySQL reads all certificates of the machine for each connection, 50 ms of CPU, to greet a
    # server that has no TLS.
    options = {"ssl_disabled": True} if alias == "mariadb" else {}
    return {
        "ENGINE": f"django.db.backends.{engine}",
        "NAME": "django_q",
        "HOST": "127.0.0.1",
        "PORT": port,
        "USER": user,
        "PASSWORD": "",
        "CONN_MAX_AGE": int(os.environ.get(AGE, "0")),
        "OPTIONS": options,
    }


def known() -> dict[str, dict[str, Any]]:
    """The servers whose ports stand in the environment."""
    ports = {alias: os.environ.get(variable(alias)) for alias in ALIASES if alias != "default"}
    return {alias: server(alias, int(port)) for alias, port in ports.items() if port}


def add(alias: str, port: int) -> None:
    """Make a server that has just started known to this process and its future children."""
    os.environ[variable(alias)] = str(port)
    settings.DATABASES[alias] = server(alias, port)
    connections.configure_settings(settings.DATABASES)


@contextlib.contextmanager
def guest(alias: str, entry: dict[str, Any]) -> Iterator[Any]:
    """Let one more database in for a while, of which the rest of the tests must not hear.

    Gives its connection.
    """
    settings.DATABASES[alias] = entry
    connections.configure_settings(settings.DATABASES)
    try:
        yield connections[alias]
    finally:
        connections[alias].close()
        del connections[alias], settings.DATABASES[alias]


def variable(alias: str) -> str:
    """Where a server's port stands in the environment."""
    return f"TEST_{alias.upper()}_PORT"


def empty(alias: str) -> None:
    """Delete the rows that tests make: those of the queue, users and their sessions."""
    for model in apps.get_app_config("django_q").get_models():
        if not model._meta.proxy:
            model._base_manager.using(alias).all()._raw_delete(alias)
    for name in ("admin.LogEntry", "sessions.Session", "auth.User"):
        apps.get_model(name)._base_manager.using(alias).all().delete()
