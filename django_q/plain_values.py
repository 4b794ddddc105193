"""Plain values as bytes, for memory that only the processes of one cluster share.

Written several times for each task, so it is Python's own format for compiled code, which takes a
third of the time of a pickle; and a pickle for what that does not know. Standard library only.
"""

import marshal
import pickle
from typing import Any

#: The last version that writes each value for itself; later ones look for what was written before.
_VERSION = 2
#: What a pickle begins with; no tuple does here.
_PICKLE = b"\x80"


def dumps(values: tuple[Any, ...]) -> bytes:
    """Give a tuple of values as bytes. Raises what pickling them raises."""
    try:
        return marshal.dumps(values, _VERSION)
    except ValueError:  # a subclass, as a named tuple is, or a moment
        return pickle.dumps(values, pickle.HIGHEST_PROTOCOL)


def loads(data: bytes) -> tuple[Any, ...]:
    """Give the tuple that `dumps` was given; only for bytes of our own memory."""
    values: tuple[Any, ...] = (
        pickle.loads(data) if data.startswith(_PICKLE) else marshal.loads(data)  # noqa: S302
    )
    return values
