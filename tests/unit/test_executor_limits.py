"""Soft limits: an exception in the code that runs too long, and in no other."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from django_q.exceptions import TimeoutException
from django_q.executor import execute, guarded, time_limit
from django_q.package import Outcome, build_package
from django_q.soft_limit import NoLimit, SoftLimit
from tests.site import tasks


@pytest.fixture
def soft_limit() -> Iterator[SoftLimit]:
    """A real limit, on the alarm that the test runner has lent us."""
    before = signal.getsignal(signal.SIGALRM)
    left, interval = signal.setitimer(signal.ITIMER_REAL, 0)
    yield SoftLimit()
    signal.signal(signal.SIGALRM, before)
    signal.setitimer(signal.ITIMER_REAL, left, interval)


def run(func: Any, *args: Any, limit: SoftLimit | None = None, **options: Any) -> Outcome:
    return execute(build_package(func, args, {}, options), limit or NoLimit())


@pytest.mark.parametrize(
    ("own", "cluster", "limit"),
    [
        ({}, None, None), ({}, 9, 9.0), ({"timeout": 2}, 9, 2.0), ({"timeout": 0.5}, None, 0.5),
        ({"timeout": -1}, 9, None), ({"timeout": 0}, 9, None), ({"timeout": None}, 9, None),
        ({"timeout": "5"}, 9, None), ({"timeout": float("nan")}, 9, None),
        ({"timeout": float("inf")}, 9, None), ({"timeout": 10**400}, 9, None),
        ({"timeout": True}, 9, None),
    ],
)  # fmt: skip
def test_the_limit_of_a_task_is_its_own_or_the_clusters(
    q_cluster: Callable[..., Any], own: Any, cluster: Any, limit: float | None
) -> None:
    q_cluster(timeout=cluster)
    package = build_package(tasks.noop, (), {}, {})

    assert time_limit({**package, **own}) == limit


async def sleep_async() -> None:
    """Take long, in an event loop."""
    await asyncio.sleep(60)


@pytest.mark.parametrize(
    ("func", "args"), [(tasks.sleep, (60,)), (tasks.busy, ()), (sleep_async, ())]
)
def test_a_task_beyond_its_limit_is_interrupted(
    soft_limit: SoftLimit, func: Any, args: Any
) -> None:
    began = time.monotonic()

    outcome = run(func, *args, limit=soft_limit, timeout=0.1)

    assert time.monotonic() - began < 5
    assert isinstance(outcome.error, TimeoutException)
    assert outcome.result.startswith("The task ran longer than its limit of 0.1 s : Traceback")


def test_a_task_within_its_limit_is_left_alone(soft_limit: SoftLimit) -> None:
    assert run(tasks.sleep, 0.01, limit=soft_limit, timeout=5).success
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_the_longest_limit_is_taken(soft_limit: SoftLimit) -> None:
    assert run(tasks.noop, limit=soft_limit, timeout=1e9).success


def test_an_alarm_after_the_task_hurts_nobody(soft_limit: SoftLimit) -> None:
    run(tasks.noop, limit=soft_limit, timeout=5)

    signal.raise_signal(signal.SIGALRM)


def steal_alarm() -> None:
    """Take the alarm for oneself, and hide from it."""
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})


def test_a_task_that_takes_the_alarm_takes_it_from_no_other(soft_limit: SoftLimit) -> None:
    run(steal_alarm, limit=soft_limit, timeout=5)

    outcome = run(tasks.sleep, 60, limit=soft_limit, timeout=0.1)

    assert isinstance(outcome.error, TimeoutException)


def test_a_module_that_takes_the_alarm_when_it_is_imported_takes_it_from_no_task(
    soft_limit: SoftLimit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "alarming.py").write_text(
        "import signal, time\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nsleep = time.sleep\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with soft_limit.within(10, "Opening the package"):
        pass

    outcome = run("alarming.sleep", 60, limit=soft_limit, timeout=0.1)

    assert isinstance(outcome.error, TimeoutException)


def test_in_place_the_alarm_is_not_touched() -> None:
    before = signal.getsignal(signal.SIGALRM)

    assert run(tasks.sleep, 0.02, timeout=0.001).success

    assert signal.getsignal(signal.SIGALRM) is before


# Beside the task.


def leave() -> NoReturn:
    """Raise what is no Exception."""
    raise SystemExit(3)


@pytest.mark.parametrize(("what", "fails"), [(tasks.fail, "ValueError"), (leave, "SystemExit")])
def test_user_code_beside_the_task_only_leaves_a_line(
    caplog: pytest.LogCaptureFixture, what: Callable[[], Any], fails: str
) -> None:
    package = build_package(tasks.noop, (), {}, {"task_name": "mine"})

    with guarded(NoLimit(), package, "The hook"):
        what()

    assert f"The hook of mine [{package['id']}] raised" in caplog.text
    assert fails in caplog.text


def test_user_code_beside_the_task_has_the_limit_of_the_task(
    soft_limit: SoftLimit, caplog: pytest.LogCaptureFixture
) -> None:
    package = build_package(tasks.noop, (), {}, {"timeout": 0.1})
    began = time.monotonic()

    with guarded(soft_limit, package, "The hook"):
        tasks.hanging_hook(None)

    assert time.monotonic() - began < 5
    assert "The hook ran longer than its limit of 0.1 s" in caplog.text
