"""Where the example site keeps its rows: SQLite, or what the environment says."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: ``busy_timeout`` in seconds: how long a writer waits while another one writes.
SQLITE_BUSY = 20


def database_from(environ: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """One entry of ``DATABASES``, from ``EXAMPLE_DB_ENGINE``, ``_NAME``, ``_HOST`` and so on.

    Without any of them: SQLite in ``folder``. The engine is the last part of Django's name of it
    (``sqlite3``, ``postgresql``, ``mysql``).
    """
    engine = environ.get("EXAMPLE_DB_ENGINE", "sqlite3")
    if engine == "sqlite3":
        return _sqlite(environ.get("EXAMPLE_DB_NAME", str(folder / "db.sqlite3")))
    if engine == "mysql" and importlib.util.find_spec("MySQLdb") is None:
        _use_pymysql()
    return {
        "ENGINE": f"django.db.backends.{engine}",
        "NAME": environ.get("EXAMPLE_DB_NAME", "example"),
        "HOST": environ.get("EXAMPLE_DB_HOST", ""),
        "PORT": environ.get("EXAMPLE_DB_PORT", ""),
        "USER": environ.get("EXAMPLE_DB_USER", ""),
        "PASSWORD": environ.get("EXAMPLE_DB_PASSWORD", ""),
    }


def _use_pymysql() -> None:
    """Let the driver that needs no compiler stand in for mysqlclient."""
    pymysql = importlib.import_module("pymysql")
    # Django looks at the version of what it takes for mysqlclient.
    pymysql.version_info = (2, 2, 8, "final", 0)
    pymysql.install_as_MySQLdb()


def _sqlite(name: str) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": name,
        "OPTIONS": {
            # With the write-ahead log the page reads while workers write; in Django's default
            # journal each would wait for the other.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            "transaction_mode": "IMMEDIATE",
            "timeout": SQLITE_BUSY,
        },
    }
