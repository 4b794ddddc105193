"""The policy of retries: how often a task may be run, after which errors again, and when.

Made of a task's options and, where these are silent, of the settings. The options are checked by
the producer; the policy is asked by a worker's main thread after a failure, since it may be code
of the project.
"""

import builtins
import random
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from django_q.conf import Conf
from django_q.exceptions import PackageError, Retry
from django_q.functions import find_error, find_function

#: Runs of a task that raises Retry and has no `max_attempts`: without any it would go on for ever.
ASKED_ATTEMPTS = 10
#: Longest time before a run, some thirty years: the system's timers do not take much more.
_LONGEST = 1e9
#: Options of a policy that say nothing without `max_attempts`.
_DETAILS = ("retry_delay", "backoff", "jitter", "retry_on", "give_up_on")
#: Options of a task that make its policy.
RETRY_OPTIONS = ("max_attempts", *_DETAILS)
_KEYS = frozenset(RETRY_OPTIONS)
_NUMBER = "a number of seconds"


def run_limit(package: Mapping[str, Any], *, is_asked: bool = False) -> int:
    """Tell how often a task may be run: 1 where nobody said that it is to be retried.

    `is_asked`: the task itself raises Retry, which needs no policy.
    """
    own = package.get("max_attempts")
    if own is not None:
        return int(own)
    if Conf.MAX_ATTEMPTS and (is_asked or not comes_back(package)):
        return int(Conf.MAX_ATTEMPTS)
    return ASKED_ATTEMPTS if is_asked else 1


def comes_back(package: Mapping[str, Any]) -> bool:
    """Tell whether a failure is not acknowledged, as in Django Q: the project must have said so."""
    return Conf.is_set("ack_failures") and not package.get("ack_failure", Conf.ACK_FAILURES)


def is_over(package: Mapping[str, Any], error: BaseException, deliveries: int) -> bool:
    """Tell whether a failure that is not retried ends the package.

    It does, unless the project set `ack_failures` to False itself: then it comes back after
    `retry`, up to `max_attempts` runs, as in Django Q. But not where the task said itself how often
    it may be run.
    """
    if not comes_back(package) or package.get("max_attempts") or isinstance(error, Retry):
        return True
    return bool(0 < Conf.MAX_ATTEMPTS <= deliveries)


def is_retriable(package: Mapping[str, Any], error: BaseException) -> bool:
    """Tell whether a task may be tried again after this error: see `retry_on`, `give_up_on`.

    Raises whatever importing their classes raises.
    """
    if isinstance(error, Retry):
        return True
    if isinstance(error, _classes(package.get("give_up_on", Conf.GIVE_UP_ON))):
        return False
    wanted = package.get("retry_on", Conf.RETRY_ON)
    return wanted is None or isinstance(error, _classes(wanted))


def asked_delay(error: BaseException) -> float | None:
    """Give the delay that a task asked for itself; None where it left that to the policy."""
    delay = error.delay if isinstance(error, Retry) else None
    return None if delay is None else min(_seconds(delay), _LONGEST)


def delay_after(package: Mapping[str, Any], attempt: int, error: BaseException) -> float:
    """Give the seconds between the failure of this attempt (1 for the first) and the next run.

    Raises whatever a project's own function raises.
    """
    backoff = package.get("backoff", Conf.BACKOFF)
    if isinstance(backoff, (int, float)):
        delay = _grown(package, float(backoff), attempt)
    elif isinstance(backoff, (list, tuple)):
        delay = _seconds(backoff[min(attempt, len(backoff)) - 1])
    else:
        delay = _seconds(find_function(backoff)(error, attempt))
    return min(delay * _chance(package), _LONGEST)


def plain_delay(package: Mapping[str, Any]) -> float:
    """Give `retry_delay`, for where the rest of the policy cannot be used."""
    return min(float(package.get("retry_delay", Conf.RETRY_DELAY)), _LONGEST)


def _grown(package: Mapping[str, Any], factor: float, attempt: int) -> float:
    try:
        return plain_delay(package) * factor ** (attempt - 1)
    except OverflowError:
        return _LONGEST


def _chance(package: Mapping[str, Any]) -> float:
    """Give a factor around 1: what failed together shall not come back together."""
    jitter = float(package.get("jitter", Conf.JITTER))
    return random.uniform(1 - jitter, 1 + jitter)  # noqa: S311


def _seconds(delay: Any) -> float:
    seconds = delay.total_seconds() if isinstance(delay, timedelta) else float(delay)
    if not seconds >= 0:  # not true of NaN either
        raise ValueError(f"The delay before the next attempt is {delay!r}: give seconds.")
    return seconds


def _classes(given: Any) -> tuple[type[BaseException], ...]:
    """Give the exception classes that an option names."""
    found = [find_error(one) if isinstance(one, str) else one for one in _listed(given)]
    return tuple(error for error in found if error is not None)


def _listed(given: Any) -> Iterable[Any]:
    if given is None:
        return ()
    return given if isinstance(given, (list, tuple)) else (given,)


# What is wrong with options.


def check_policy(package: Mapping[str, Any]) -> None:
    """Raise PackageError for the first option of a policy that means nothing."""
    if _KEYS.isdisjoint(package):
        return
    limit = package.get("max_attempts")
    if limit is not None and (type(limit) is not int or not 0 < limit < 2**31):
        raise PackageError(
            f"max_attempts is {limit!r:.100}: give a whole number of runs, 1 for no retry."
        )
    details = [key for key in _DETAILS if package.get(key) is not None]
    if details and limit is None and run_limit(package) == 1:
        raise PackageError(
            f"{details[0]} is {package[details[0]]!r:.100}, but the task is not retried: say how "
            'often it may be run, as max_attempts or in Q_CLUSTER["max_attempts"].'
        )
    for key in details:
        _CHECKS[key](key, package[key])


def settings_trouble(raw: Mapping[str, Any]) -> str | None:
    """Say what is wrong with the settings of retries, or None. Imports what they name."""
    given = {key: raw[key] for key in _DETAILS if raw.get(key) is not None}
    try:
        check_policy({"max_attempts": 1} | given)
        _classes(given.get("retry_on"))
        _classes(given.get("give_up_on"))
        if isinstance(given.get("backoff"), str):
            find_function(given["backoff"])
    except PackageError as error:
        return str(error)
    return None


def _check_delay(key: str, value: Any) -> None:
    if not _is_number(value):
        raise PackageError(f"{key} is {value!r:.100}: give {_NUMBER}, 0 or more.")


def _check_jitter(key: str, value: Any) -> None:
    if not _is_number(value, 1):
        raise PackageError(f"{key} is {value!r:.100}: give a number from 0 to 1.")


def _check_backoff(key: str, value: Any) -> None:
    if isinstance(value, (list, tuple)):
        is_right = bool(value) and all(map(_is_number, value))
    else:
        is_right = _is_number(value) or _is_path(value) or callable(value)
    if not is_right:
        raise PackageError(
            f"{key} is {value!r:.100}: give a factor, a list with {_NUMBER} for each attempt, or "
            "a function of (exception, attempt) or its dotted path."
        )


def _check_errors(key: str, value: Any) -> None:
    for one in _listed(value):
        error = getattr(builtins, one, None) if isinstance(one, str) else one
        is_class = isinstance(error, type) and issubclass(error, BaseException)
        if not is_class and not _is_path(one):
            raise PackageError(
                f"{key} has {one!r:.100}: give exception classes, built-in names or dotted paths "
                "such as 'requests.Timeout', one or a list."
            )


def _is_number(value: Any, most: float = _LONGEST) -> bool:
    return type(value) in (int, float) and 0 <= value <= most


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and "." in value and "\0" not in value


_CHECKS = {
    "retry_delay": _check_delay,
    "backoff": _check_backoff,
    "jitter": _check_jitter,
    "retry_on": _check_errors,
    "give_up_on": _check_errors,
}
