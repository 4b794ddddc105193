"""The exception of a cancelled task: in its call, wherever that is, and in no other."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from django_q.exceptions import TaskCancelled, TimeoutException
from django_q.executor import execute
from django_q.package import FailureCause, build_package
from django_q.soft_limit import SoftLimit
from tests.site import tasks


@pytest.fixture
def soft_limit() -> Iterator[SoftLimit]:
    """A real limit, on the alarm that the test runner has lent us."""
    before = signal.getsignal(signal.SIGALRM)
    left, interval = signal.setitimer(signal.ITIMER_REAL, 0)
    yield SoftLimit()
    signal.signal(signal.SIGALRM, before)
    signal.setitimer(signal.ITIMER_REAL, left, interval)


@pytest.fixture
def later() -> Iterator[Callable[..., None]]:
    """Does something in another thread, a moment later."""
    timers: list[threading.Timer] = []

    def do(action: Callable[..., Any], *args: Any, after: float = 0.1) -> None:
        timers.append(threading.Timer(after, action, args))
        timers[-1].start()

    yield do
    for timer in timers:
        timer.join()


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Threads take turns far more often than usual."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.parametrize("limit", [None, 60.0])
def test_a_cancelled_call_is_interrupted(
    soft_limit: SoftLimit, later: Callable[..., None], limit: float | None
) -> None:
    later(soft_limit.cancel, "a")

    began = time.monotonic()
    with pytest.raises(TaskCancelled), soft_limit.within(limit, "The task", "a"):
        time.sleep(60)

    assert time.monotonic() - began < 5
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_wish_that_comes_before_the_call_is_kept(soft_limit: SoftLimit) -> None:
    soft_limit.cancel("a")

    with pytest.raises(TaskCancelled), soft_limit.within(None, "The task", "a"):
        pytest.fail("the task has started")


def test_the_next_task_is_left_alone(soft_limit: SoftLimit) -> None:
    with soft_limit.within(None, "The task", "a"):
        pass
    soft_limit.cancel("a")
    with soft_limit.within(30.0, "The task", "b"):
        # As if the clerk had looked just before the call of the first was left.
        signal.raise_signal(signal.SIGALRM)
    with soft_limit.within(None, "The task", "b"):
        signal.raise_signal(signal.SIGALRM)


def test_an_alarm_that_was_meant_for_another_does_not_end_the_limit(soft_limit: SoftLimit) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutException), soft_limit.within(0.3, "The task", "b"):
        signal.raise_signal(signal.SIGALRM)
        time.sleep(60)

    assert 0.25 < time.monotonic() - began < 5


def test_hooks_and_receivers_are_not_the_call(soft_limit: SoftLimit) -> None:
    soft_limit.cancel("a")

    with soft_limit.within(5.0, "The hook"):
        soft_limit.cancel("a")


def test_a_task_that_took_the_alarm_for_itself_is_not_hurt(soft_limit: SoftLimit) -> None:
    with soft_limit.within(None, "The task", "a"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # an alarm would end this process
        soft_limit.cancel("a")
    with pytest.raises(TaskCancelled), soft_limit.within(None, "The task", "a"):
        pytest.fail("the task has started")


@pytest.mark.parametrize("limit", [None, 60.0])
def test_what_one_task_did_to_the_alarm_does_not_keep_the_next_from_being_cancelled(
    soft_limit: SoftLimit, later: Callable[..., None], limit: float | None
) -> None:
    with soft_limit.within(None, "The task", "a"):
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    later(soft_limit.cancel, "b")

    began = time.monotonic()
    with pytest.raises(TaskCancelled), soft_limit.within(limit, "The task", "b"):
        time.sleep(10)

    assert time.monotonic() - began < 5


def test_no_alarm_of_many_meets_another_task(soft_limit: SoftLimit, quick_switches: None) -> None:
    """A thread cancels every task at any moment of its call, before and after it too."""
    current = [""]
    is_over = threading.Event()

    def cancel_all() -> None:
        while not is_over.is_set():
            soft_limit.cancel(current[0])

    thread = threading.Thread(target=cancel_all)
    thread.start()
    ends = {"cancelled": 0, "ended": 0}
    limit = time.monotonic() + 10
    try:
        while min(ends.values()) < 20 and time.monotonic() < limit:
            number = sum(ends.values())
            current[0] = task_id = f"task-{number}"
            try:
                with soft_limit.within(None if number % 2 else 60.0, "The task", task_id):
                    sum(range(50 * (number % 20)))
            except TaskCancelled:
                ends["cancelled"] += 1
            else:
                ends["ended"] += 1
            sum(range(100))  # nothing may be raised here
    finally:
        is_over.set()
        thread.join()

    assert min(ends.values()) > 3


def test_the_outcome_says_that_it_was_cancelled(
    soft_limit: SoftLimit, later: Callable[..., None]
) -> None:
    package = build_package(tasks.sleep, (60,), {}, {"max_attempts": 5})
    later(soft_limit.cancel, package["id"])

    outcome = execute(package, soft_limit)

    assert not outcome.success
    assert outcome.cause is FailureCause.CANCELLED
    assert outcome.result.startswith("The task was cancelled : Traceback")
    assert outcome.again_in is None
