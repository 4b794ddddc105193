"""What the books make of database errors: one error in our words, and a connection that is new."""

import contextlib
from collections.abc import Iterator

from django.db import DataError, Error, IntegrityError, connections

from django_q.exceptions import ResultsUnavailable

#: Errors for which a row is to blame, not the server. ValueError: text that has no encoding.
_REFUSALS = (DataError, IntegrityError, ValueError, OverflowError)
#: MySQL's numbers for text that a column's character set lacks; its driver takes it for trouble.
_MYSQL_REFUSALS = (1366, 3988)


@contextlib.contextmanager
def told(alias: str, what: str) -> Iterator[None]:
    """Turn a database error inside the block into ResultsUnavailable; `what` begins its text.

    The connection is closed, since it may be broken: the next use makes a new one. Inside a
    caller's transaction that is left to the caller.
    """
    try:
        yield
    except Error as error:
        connection = connections[alias]
        if not connection.in_atomic_block:
            with contextlib.suppress(Error):
                connection.close()
        raise ResultsUnavailable(
            f"{what} (database {alias!r}, {connection.vendor}): {cause(error)}"
        ) from error


def is_refusal(error: BaseException) -> bool:
    """Tell whether a row is to blame for an error, and not its database."""
    return isinstance(error, _REFUSALS) or bool(
        isinstance(error, Error) and error.args and error.args[0] in _MYSQL_REFUSALS
    )


def cause(error: Error) -> str:
    """Give an error as one line: PostgreSQL's texts have several."""
    text = str(error).strip().partition("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {text}."
