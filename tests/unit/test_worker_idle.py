"""A worker that has nothing to do says so, whatever it had counted a moment ago."""

import queue
from collections.abc import Callable
from typing import Any

import pytest

from django_q.brokers import Lease
from tests.unit.desk import quick_desk

pytestmark = pytest.mark.usefixtures("database")


class TakenBack(queue.SimpleQueue[Lease | None]):
    """An inbox whose only package the clerk takes back when the worker has just counted it."""

    def __init__(self, when_waiting: Callable[[], None]) -> None:
        self._when_waiting = when_waiting

    def qsize(self) -> int:
        """Count it, too late."""
        return 1

    def get(self, block: bool = True, timeout: float | None = None) -> Lease | None:
        """Let the worker wait until it is to leave, which is at once."""
        if block:
            self._when_waiting()
            return None
        raise queue.Empty


def test_a_worker_that_finds_nothing_where_something_was_is_idle(
    q_cluster: Callable[..., Any],
) -> None:
    q_cluster()
    busy_since: list[float] = []
    with quick_desk() as desk:
        clerk = desk.clerk
        clerk.busy_since = 5.0
        clerk.inbox = TakenBack(lambda: busy_since.append(clerk.busy_since))

        desk.worker().run()

    # Else the clerk would take it for busy, and lease nothing for it any more.
    assert busy_since == [0.0]
