"""Lets the tests that measure time run alone, where several processes share the tests.

`make test` runs as many as `workers()` says (pytest-xdist), since tests mostly wait. A test that is
marked `alone` asks how long something takes, or how much of the processor: while it runs, the other
processes begin nothing. Used by `tests/conftest.py`, in each of them.
"""

import fcntl
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

#: More make no test quicker that waits for the processor, and each has servers of its own.
MOST = 6


def workers() -> int:
    """How many processes share the tests: two for each processor, since they often wait."""
    return min(MOST, 2 * (os.cpu_count() or 1))


class Turns:
    """Two locks on files, which all processes of one run have in common.

    The room is shared by ordinary tests, and taken by one that is alone. It is entered through the
    door, by one at a time: whoever waits to be alone stands in the door, so that he is next.
    """

    def __init__(self, directory: Path) -> None:
        self._door = open(directory / "door", "w")
        self._room = open(directory / "room", "w")
        self._has_room = False

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, bool, bool]:
        """Run one test in its turn; those alone in a row share one."""
        if not self._has_room:
            self._enter(fcntl.LOCK_EX if _is_alone(item) else fcntl.LOCK_SH)
        try:
            return (yield)
        finally:
            self._has_room = _is_alone(item) and nextitem is not None and _is_alone(nextitem)
            if not self._has_room:
                fcntl.flock(self._room, fcntl.LOCK_UN)

    @pytest.hookimpl(wrapper=True)
    def pytest_report_to_serializable(self) -> Generator[None, Any, Any]:
        """Escape what cannot be sent: half of a pair, which a test may have logged."""
        return _sendable((yield))

    def _enter(self, how: int) -> None:
        fcntl.flock(self._door, fcntl.LOCK_EX)
        fcntl.flock(self._room, how)
        fcntl.flock(self._door, fcntl.LOCK_UN)


def _sendable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {key: _sendable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_sendable, value))
    return value


def _is_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None
