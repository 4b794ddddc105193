"""When a task may run, and what it passes: the options `delay`, `run_at` and `priority`.

Checks and readings only; `dispatch` hands on what has them.
"""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from django_q.exceptions import PackageError

#: The options that are dealt with here. In a package `delay` has become a `run_at`.
ORDER_OPTIONS = ("delay", "run_at", "priority")
_ORDER = frozenset(ORDER_OPTIONS)
#: The highest priority; the lowest is as far below 0. The range is that of Django's own tasks.
HIGHEST = 100
#: Longest time a task is held back, in seconds: some thirty years, as for a time limit.
_LONGEST = 1e9


def settle_order(options: dict[str, Any]) -> dict[str, Any]:
    """Check these options and turn `delay` into a `run_at`, in place; what shares them shares it.

    Raises PackageError for the first that means nothing.
    """
    if _ORDER.isdisjoint(options):
        return options
    _check(options)
    delay = options.pop("delay", None)
    if delay is not None:
        options["run_at"] = timezone.now() + timedelta(seconds=_seconds(delay))
    elif options.get("run_at") is not None:
        options["run_at"] = _as_now(options["run_at"])
    return options


def _check(package: Mapping[str, Any]) -> None:
    priority, delay = package.get("priority"), package.get("delay")
    if priority is not None and (type(priority) is not int or abs(priority) > HIGHEST):
        raise PackageError(
            f"priority is {priority!r:.100}: give a whole number from {-HIGHEST} to {HIGHEST}; "
            "higher ones run first, and 0 is usual."
        )
    if delay is not None:
        _check_delay(delay)
    if package.get("run_at") is not None:
        _check_run_at(package["run_at"])
        if delay is not None:
            raise PackageError(
                f"delay is {delay!r:.100} and run_at is {package['run_at']!r:.100}: "
                "both say when the task runs. Give one of them."
            )


def time_left(package: Mapping[str, Any], now: datetime) -> float:
    """Give the seconds from `now` until a task may run; 0 when it may."""
    run_at = package.get("run_at")
    return 0.0 if run_at is None else max(0.0, (_as_now(run_at) - now).total_seconds())


def _check_delay(delay: Any) -> None:
    is_number = isinstance(delay, (int, float)) and not isinstance(delay, bool)
    seconds = _seconds(delay) if is_number or isinstance(delay, timedelta) else math.nan
    if not 0 <= seconds <= _LONGEST:
        raise PackageError(
            f"delay is {delay!r:.100}: give seconds from 0 to {_LONGEST:g}, or a timedelta."
        )


def _check_run_at(run_at: Any) -> None:
    if not isinstance(run_at, datetime):
        raise PackageError(
            f"run_at is {run_at!r:.100}: give a datetime; for a time from now on, use delay."
        )
    if (_as_now(run_at) - timezone.now()).total_seconds() > _LONGEST:
        raise PackageError(f"run_at is {run_at.isoformat()}: that is more than thirty years away.")


def _seconds(delay: Any) -> float:
    return delay.total_seconds() if isinstance(delay, timedelta) else float(delay)


def _as_now(moment: datetime) -> datetime:
    """Give a moment with or without time zone as `timezone.now()` is: naive ones are local."""
    is_wanted = timezone.is_aware(timezone.now())
    if is_wanted and timezone.is_naive(moment):
        return timezone.make_aware(moment)
    if not is_wanted and timezone.is_aware(moment):
        return timezone.make_naive(moment)
    return moment
