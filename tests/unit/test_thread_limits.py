"""Soft limits in threads: the exception comes into the block, and never after it."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from django_q.cluster.thread_limits import ThreadLimits
from django_q.exceptions import TaskCancelled, TimeoutException
from tests.waiting import wait_until


class Watch:
    """Threads with limits, and somebody who looks at the clock."""

    def __init__(self) -> None:
        self.limits = ThreadLimits()
        self._is_over = False
        self._watcher = threading.Thread(target=self._look)
        self._watcher.start()

    def _look(self) -> None:
        while not self._is_over:
            self.limits.look()
            time.sleep(0.002)

    def run(self, do: Callable[[], Any], limit: float | None, task_id: str = "") -> "Caught":
        """Do something in a thread, within a limit."""
        return Caught(self.limits, do, limit, task_id)

    def close(self) -> None:
        self._is_over = True
        self._watcher.join()


class Caught:
    """What came of it."""

    def __init__(
        self, limits: ThreadLimits, do: Callable[[], Any], limit: float | None, task_id: str
    ) -> None:
        self.error: BaseException | None = None
        self.came_late = False
        self._arguments = (limits, do, limit, task_id)
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        limits, do, limit, task_id = self._arguments
        try:
            with limits.within(limit, "The task", task_id):
                do()
        except BaseException as error:
            self.error = error
        try:
            busy(0.02)
        except BaseException:
            self.came_late = True

    def wait(self) -> BaseException | None:
        self.thread.join(10)
        assert not self.thread.is_alive()
        assert not self.came_late
        return self.error


@pytest.fixture
def watch() -> Iterator[Watch]:
    made = Watch()
    yield made
    made.close()


def busy(seconds: float) -> None:
    """Take a while, with steps between which an exception can come."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.0005)


def test_only_what_is_too_late_is_ended(watch: Watch) -> None:
    late = [watch.run(lambda: busy(60), 0.05) for _ in range(5)]
    in_time = [watch.run(lambda: busy(0.1), limit) for limit in (None, 5, 60)]

    for caught in late:
        error = caught.wait()
        assert isinstance(error, TimeoutException)
        assert str(error) == "The task ran longer than its limit of 0.05 s"
        assert type(error).__qualname__ == "TimeoutException"
    assert [caught.wait() for caught in in_time] == [None, None, None]


def test_what_comes_at_the_last_moment_comes_in_the_block_or_not_at_all(watch: Watch) -> None:
    """The limit and the end of the block meet: some are late, some are not, none after it."""
    errors = []
    for n in range(60):
        caught = [watch.run(lambda: busy(0.02), 0.019 + n % 10 / 2500) for _ in range(4)]
        errors += [each.wait() for each in caught]

    assert {type(error).__name__ for error in errors} <= {"NoneType", "TimeoutException"}


def test_a_cancelled_task_is_ended_and_no_other(watch: Watch) -> None:
    first, second = (watch.run(lambda: busy(0.5), None, name) for name in ("first", "second"))
    wait_until(lambda: len(watch.limits._guards) == 2)

    watch.limits.cancel("first")

    assert isinstance(first.wait(), TaskCancelled)
    assert second.wait() is None


def test_a_task_that_was_cancelled_before_it_began_does_not_begin(watch: Watch) -> None:
    begun: list[int] = []
    watch.limits.cancel("task")

    assert isinstance(watch.run(lambda: begun.append(1), 5, "task").wait(), TaskCancelled)
    assert not begun
    assert watch.run(lambda: begun.append(1), 5, "task").wait() is None  # its next run


def test_a_wish_for_a_task_that_has_ended_is_forgotten(watch: Watch) -> None:
    watch.limits.cancel("task")

    watch.limits.forget("task")

    assert watch.run(lambda: None, 5, "task").wait() is None


def test_a_task_may_catch_its_end_once(watch: Watch) -> None:
    caught: list[str] = []

    def tidy_up() -> None:
        try:
            busy(60)
        except TimeoutException as error:
            caught.append(str(error))
        busy(0.1)

    assert watch.run(tidy_up, 0.05).wait() is None
    assert caught == ["The task ran longer than its limit of 0.05 s"]


def test_the_next_look_is_known() -> None:
    limits = ThreadLimits()
    assert limits.look() is None
    with limits.within(None, "No limit", "task"), limits.within(60, "A task"):
        assert 59 < (limits.look() or 0) <= 60
    assert limits.look() is None
