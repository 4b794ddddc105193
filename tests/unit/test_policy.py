"""The policy of retries: after which errors, how often, and when."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import override_settings
from django.utils import timezone

from django_q import policy
from django_q.checks import check_settings
from django_q.enqueue import async_task
from django_q.exceptions import PackageError, Retry, TimeoutException
from django_q.schedule_package import build_scheduled
from django_q.soft_limit import SoftLimit
from django_q.tasks import schedule

Configure = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(autouse=True)
def settings(q_cluster: Configure) -> None:
    q_cluster()


def slowly(error: BaseException, attempt: int) -> float:
    return attempt * 100.0


# Delays.


@pytest.mark.parametrize(
    ("options", "delays"),
    [
        ({"retry_delay": 10, "backoff": 2}, [10, 20, 40]),
        ({"retry_delay": 10, "backoff": 1}, [10, 10, 10]),
        ({"backoff": [1, 5]}, [1, 5, 5]),
        ({"backoff": slowly}, [100, 200, 300]),
        ({"backoff": f"{__name__}.slowly"}, [100, 200, 300]),
        ({"retry_delay": 10, "backoff": 1e300}, [10, 1e9, 1e9]),
    ],
)
def test_delays_grow_as_the_policy_says(options: dict[str, Any], delays: list[float]) -> None:
    package = options | {"jitter": 0}

    found = [policy.delay_after(package, attempt, ValueError()) for attempt in (1, 2, 3)]

    assert found == delays


def test_a_part_of_the_delay_is_left_to_chance() -> None:
    package = {"backoff": [100], "jitter": 0.1}

    found = [policy.delay_after(package, 1, ValueError()) for _ in range(200)]

    assert 90 <= min(found) < 95 < 105 < max(found) <= 110


def test_a_task_asks_for_a_delay_of_its_own() -> None:
    assert policy.asked_delay(Retry(60)) == 60
    assert policy.asked_delay(Retry(timedelta(minutes=2))) == 120
    assert policy.asked_delay(Retry()) is None
    with pytest.raises(ValueError, match="is -1"):
        policy.asked_delay(Retry(-1))


# Errors.


@pytest.mark.parametrize(
    ("options", "error", "expected"),
    [
        ({}, ValueError(), True),
        ({}, TimeoutException(), True),
        ({"retry_on": OSError}, ConnectionError(), True),
        ({"retry_on": OSError}, ValueError(), False),
        ({"retry_on": ["ValueError", "django_q.tasks.Retry"]}, ValueError(), True),
        ({"retry_on": "django_q.exceptions.TimeoutException"}, TimeoutException(), True),
        ({"retry_on": []}, ValueError(), False),
        ({"retry_on": []}, Retry(), True),
        ({"retry_on": OSError, "give_up_on": ConnectionError}, ConnectionError(), False),
        ({"give_up_on": (KeyError, "ValueError")}, ValueError(), False),
    ],
)
def test_errors_are_sorted_by_their_class(
    options: dict[str, Any], error: BaseException, expected: bool
) -> None:
    assert policy.is_retriable(options, error) is expected


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max_attempts": 0}, "max_attempts is 0: give a whole number of runs, 1 for no retry."),
        ({"max_attempts": "3"}, "max_attempts is '3'"),
        ({"retry_delay": 5}, "retry_delay is 5, but the task is not retried: say how often"),
        ({"max_attempts": 2, "retry_delay": -1}, "retry_delay is -1: give a number of seconds"),
        ({"max_attempts": 2, "backoff": []}, r"backoff is \[\]: give a factor, a list"),
        ({"max_attempts": 2, "jitter": 2}, "jitter is 2: give a number from 0 to 1"),
        ({"max_attempts": 2, "retry_on": 5}, "retry_on has 5: give exception classes"),
        ({"max_attempts": 2, "give_up_on": ["int"]}, "give_up_on has 'int': give exception"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(PackageError, match=text):
        async_task("tests.site.tasks.noop", q_options=options)


def test_what_django_q_brings_back_takes_no_details_of_a_policy(q_cluster: Configure) -> None:
    q_cluster(max_attempts=5, ack_failures=False)

    with pytest.raises(PackageError, match="retry_on is .*, but the task is not retried"):
        async_task("tests.site.tasks.noop", retry_on=OSError)


def test_a_task_with_a_limit_of_its_own_does_not_come_back_as_in_django_q(
    q_cluster: Configure,
) -> None:
    q_cluster(max_attempts=5, ack_failures=False)

    assert not policy.is_over({}, ValueError(), 1)
    assert policy.is_over({}, ValueError(), 5)
    assert policy.is_over({"max_attempts": 3}, ValueError(), 1)
    assert policy.is_over({}, Retry(), 1)
    assert policy.run_limit({}, is_asked=True) == 5


def test_a_schedule_takes_a_policy(q_cluster: Configure) -> None:
    made = schedule("tests.site.tasks.noop", max_attempts=3, backoff=[1, 2], name="nightly")

    package = build_scheduled(made, timezone.now(), "1" * 32, SoftLimit())

    assert (package["max_attempts"], package["backoff"]) == (3, [1, 2])


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"backoff": []}, r"backoff is \[\]"),
        ({"backoff": "no.such.function"}, "'no.such.function' cannot be found"),
        ({"retry_on": "no.such.Error"}, "'no.such.Error' cannot be found"),
        ({"give_up_on": ["tests.site.tasks.noop"]}, "is no exception class"),
    ],
)
def test_settings_that_mean_nothing_are_told(settings: dict[str, Any], text: str) -> None:
    with override_settings(Q_CLUSTER=settings | {"max_attempts": 3}):
        (message,) = check_settings()

    assert message.id == "django_q.E020"
    assert re.search(text, str(message.msg))


def test_errors_are_found_where_few_functions_may_be_called(q_cluster: Configure) -> None:
    """They are not called, and a module that nobody has imported has raised nothing."""
    q_cluster(functions=["shop.*"])

    assert policy.is_retriable({"retry_on": "OSError"}, OSError())
    assert not policy.is_retriable({"retry_on": "no.such.Error"}, OSError())
