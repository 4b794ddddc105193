"""What the ORM broker makes of database errors: another try, or an error that tells."""

import contextlib
import random
import select
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from django.db import Error, InterfaceError, OperationalError, ProgrammingError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from django_q.exceptions import BrokerError, BrokerUnavailable

_Given = TypeVar("_Given")

#: Seconds for which an error that passes by itself is met with another try. On SQLite a single
#: try waits up to five already (Django's default for `timeout`).
PATIENCE = 10.0
#: Seconds between two tries: at random up to this, so that two who deadlocked part.
_PAUSE = 0.05
#: SQLSTATE, and the numbers of MySQL and MariaDB: serialization failure, deadlock, lock not to be
#: had, row changed since it was read.
_PASSING = {"40001", "40P01", "55P03", 1020, 1205, 1213}
#: SQLite's result codes "database is locked" and "table is locked", in their low byte.
_SQLITE_LOCKED = {5, 6}
#: Names and ports by Django's vendor; the connection itself may have to ask its server.
_NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mysql": "MySQL"}
_PORTS = {"postgresql": 5432, "mysql": 3306}


def run(
    alias: str, action: Callable[[BaseDatabaseWrapper], _Given], *, repeatable: bool = True
) -> _Given:
    """Run `action` on this thread's connection; within a caller's transaction as part of it.

    An error that passes by itself is met with patience. A dead connection is closed; if it had been
    open before, a new one is tried once, provided that the action is `repeatable`: done twice is as
    good as done once. A transaction's mending is left to whoever began it. Raises
    BrokerUnavailable; BrokerError when the database refused.
    """
    connection = connections[alias]
    may_be_stale = repeatable and connection.connection is not None
    end = time.monotonic() + PATIENCE
    if not repeatable:
        _close_if_hung_up(connection)
    while True:
        try:
            return action(connection)
        except Error as error:
            passes = _passes(error)
            if connection.in_atomic_block:
                if passes:
                    raise
                raise _told(connection, error) from error
            is_away = not passes and _is_away(error)
            if is_away:
                _close(connection)
            if not (passes and time.monotonic() < end or is_away and may_be_stale):
                raise _told(connection, error) from error
            may_be_stale = may_be_stale and passes
        time.sleep(random.uniform(0, _PAUSE))  # noqa: S311 (guards nothing)


def _close(connection: BaseDatabaseWrapper) -> None:
    # Closing a dead connection may fail too; Django forgets it all the same.
    with contextlib.suppress(Error):
        connection.close()


def close_hung_up(among: Iterable[BaseDatabaseWrapper] | None = None) -> None:
    """Close this thread's connections that their servers have closed; the next use opens new ones.

    All of them, or those that are given. Without a socket to look at they are left alone.
    """
    for connection in connections.all(initialized_only=True) if among is None else among:
        if _socket_of(connection.connection) is not None:
            _close_if_hung_up(connection)


def _close_if_hung_up(connection: BaseDatabaseWrapper) -> None:
    """Close a connection that its server has closed: what is sent on it would be lost.

    A look at the socket tells, so that a healthy connection costs no round trip.
    """
    raw = connection.connection
    if raw is None or connection.in_atomic_block or connection.vendor == "sqlite":
        return
    try:
        with connection.wrap_database_errors:
            # A connection at rest has nothing to read but its end; or notifications.
            is_healthy = not is_readable(raw) or connection.is_usable()
    except Error:
        is_healthy = False
    if not is_healthy:
        _close(connection)


def is_readable(raw: Any, within: float = 0.0) -> bool:
    """Tell whether there is something to read, or comes within so long.

    True where the driver does not show its socket.
    """
    source = _socket_of(raw)
    if source is None:
        return True
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([source], [], [], within)[0])
    # One system call, and a fourth of what a selector takes.
    poll = select.poll()
    poll.register(source, select.POLLIN)
    return bool(poll.poll(within * 1000))


def _socket_of(raw: Any) -> Any:
    # PyMySQL has no public way to its socket.
    return raw if hasattr(raw, "fileno") else getattr(raw, "_sock", None)


def _is_away(error: Error) -> bool:
    return isinstance(error, OperationalError | InterfaceError)


def _passes(error: Error) -> bool:
    code = getattr(error.__cause__, "sqlite_errorcode", None)
    return code & 0xFF in _SQLITE_LOCKED if code is not None else _code(error) in _PASSING


def _code(error: Error) -> str | int | None:
    """Give the SQLSTATE (psycopg calls it `sqlstate`, psycopg2 `pgcode`) or MySQL's number."""
    cause = error.__cause__
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    if state:
        return str(state)
    return error.args[0] if error.args and isinstance(error.args[0], int) else None


def _told(connection: BaseDatabaseWrapper, error: Error) -> BrokerError:
    """Give the error that says which database, where, and why; never the password."""
    cause = _cause(connection, error)
    name = _NAMES.get(connection.vendor, connection.vendor)
    which = f'The database "{connection.alias}" ({name} at {_place(connection)})'
    if isinstance(error, ProgrammingError) or "no such table" in cause or "no column" in cause:
        hint = f"Run manage.py migrate --database {connection.alias}, if that was not done yet."
        return BrokerError(f"{which} refused: {cause}. {hint}")
    if _is_away(error):
        return BrokerUnavailable(f"{which} is not available: {cause}.")
    return BrokerError(f"{which} refused: {cause}.")


def _place(connection: BaseDatabaseWrapper) -> str:
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        return str(settings["NAME"])
    host = settings.get("HOST") or "localhost"
    return f"{host}:{settings.get('PORT') or _PORTS.get(connection.vendor, '')}"


def _cause(connection: BaseDatabaseWrapper, error: Error) -> str:
    # MySQL's errors are a number and a text; PostgreSQL's texts have several lines.
    text = str(error.args[-1] if error.args else error).strip() or type(error).__name__
    text = text.partition("\n")[0].rstrip(".")
    password = str(connection.settings_dict.get("PASSWORD") or "")
    return text.replace(password, "***") if password else text


def answers(alias: str, limit: float) -> bool:
    """Tell within `limit` seconds whether the database answers a new connection."""
    answered: list[bool] = []
    # A connection that hangs can only be left behind, and connections belong to threads.
    thread = threading.Thread(target=_ask, args=(alias, answered), daemon=True)
    thread.start()
    thread.join(limit)
    return bool(answered)


def _ask(alias: str, answered: list[bool]) -> None:
    connection = connections[alias]
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        answered.append(True)
    except Error:
        return
    finally:
        _close(connection)
