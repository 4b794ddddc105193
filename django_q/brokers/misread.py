"""Answers of another form than a server should give: an error of the broker, not of its reader.

A proxy, another server behind the port, the answer to another question: the caller is to hear of
it in the words of the seam.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from django_q.exceptions import BrokerError

#: What taking an answer apart raises when it has another form.
MISREAD = (
    *(TypeError, ValueError, LookupError, AttributeError, OverflowError, RecursionError),
    # A number of elements that no machine has room for.
    MemoryError,
)
#: Characters of the reason that an error shows.
_SHOWN = 200


def not_understood(server: str, error: Exception) -> BrokerError:
    """Give the error to raise for one of `MISREAD`; `server` names who answered, and where."""
    # Printable, since it may quote the answer.
    reason = str(error)[:_SHOWN].encode("unicode_escape").decode()
    return BrokerError(
        f"{server} gives an answer that is not understood ({type(error).__name__}: {reason}). "
        "Does another server, or a proxy, answer in its place?"
    )


@contextlib.contextmanager
def understood(server: str) -> Iterator[None]:
    """Let an answer be taken apart; raises BrokerError when that fails."""
    try:
        yield
    except MISREAD as error:
        raise not_understood(server, error) from error


def text_of(value: Any) -> str:
    """Give a value that has to be text. Raises TypeError for any other."""
    if type(value) is not str:
        raise TypeError(f"{type(value).__name__} in the place of text")
    return value
