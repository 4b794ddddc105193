"""Arguments and results that cannot be sent, kept or shown; found through `tests.site.tasks`."""

import socket
from collections.abc import Iterator
from typing import Any, NoReturn

# Results that cannot be kept.


def give_lambda() -> Any:
    """Give what pickle refuses."""
    return lambda: None


def give_generator() -> Iterator[int]:
    """Give a generator."""
    return (number for number in range(3))


def give_socket() -> socket.socket:
    """Give an open socket."""
    return socket.socket()


def give_bytes(size: int) -> bytes:
    """Give `size` bytes."""
    return bytes(size)


def give_unshowable() -> "Unshowable":
    """Give an object whose `repr` fails."""
    return Unshowable()


# Things that are sent as arguments or results.


class Unshowable:
    """Cannot be shown."""

    def __repr__(self) -> str:
        raise ValueError("no picture of me")


class Unpicklable:
    """Cannot be sealed."""

    def __reduce__(self) -> NoReturn:
        raise TypeError("not to be pickled")


class RunsWhenOpened:
    """Calls a function of this module (or any dotted path's object) while it is unpickled."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.function = function
        self.args = args

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.args
