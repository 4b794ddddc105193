"""Retries, decided and recorded: policy, delays, what is kept of a failed attempt."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import pytest
from django.utils import timezone

from django_q import executor, policy
from django_q.enqueue import async_task
from django_q.exceptions import Retry
from django_q.models import Attempt, Task
from django_q.results import attempts
from django_q.results.database import DatabaseStore
from django_q.tasks import current_task
from tests.unit.desk import Desk, quick_desk
from tests.unit.rows import make_row

Configure = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("database")

_seen: list[Any] = []


@pytest.fixture
def desk(q_cluster: Configure) -> Iterator[Desk]:
    q_cluster(retry_delay=0, jitter=0)
    _seen.clear()
    with quick_desk() as made:
        yield made


def fail_often(path: list[Any], times: int = 10) -> int:
    """Change the argument, and fail so often."""
    path.append("changed")
    task = current_task()
    assert task is not None
    _seen.append((task.attempt, task.max_attempts, len(path)))
    if len(_seen) <= times:
        raise ValueError(f"failure {len(_seen)}")
    return len(_seen)


def ask_again(delay: Any = 0, times: int = 100) -> str:
    _seen.append("asked")
    if len(_seen) <= times:
        raise Retry(delay, text="not yet")
    return "done"


def raise_one(error: BaseException) -> NoReturn:
    _seen.append("raised")
    raise error


def hook(task: Task) -> None:
    _seen.append(("hook", task.success, task.attempt_count))


def slowly(error: BaseException, attempt: int) -> float:
    return attempt * 100.0


def hang(error: BaseException, attempt: int) -> NoReturn:
    while True:
        time.sleep(1)


def at_once(error: BaseException, attempt: int) -> float:
    return 0.0


def note(*args: Any) -> None:
    _seen.append(args)


def broken(error: BaseException, attempt: int) -> float:
    raise RuntimeError("no idea")


def end_when(task_id: str) -> Callable[[], bool]:
    return lambda: Task.objects.filter(pk=task_id).exists()


# At work.


def test_a_failure_is_run_again_and_only_the_last_run_counts(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "django-q")
    task_id = async_task(
        fail_often, [], times=2, max_attempts=3, hook=hook, broker=desk.broker, task_name="bill"
    )

    desk.work(end_when(task_id))

    assert _seen == [(1, 3, 1), (2, 3, 1), (3, 3, 1), ("hook", True, 3)]
    task = Task.objects.get()
    assert (task.id, task.success, task.result, task.attempt_count) == (task_id, True, 3, 3)
    rows = attempts.of_task(task_id)
    assert [(row.number, row.error) for row in rows] == [
        (1, "builtins.ValueError"), (2, "builtins.ValueError"),
    ]  # fmt: skip
    assert rows[0].traceback.startswith("failure 1 : Traceback")
    told = [entry.getMessage() for entry in caplog.records if "Retry" in entry.getMessage()]
    assert told[0] == f"Retry 2/3 of bill [{task_id}] in 0.0 s: ValueError: failure 1"
    assert not [entry for entry in caplog.records if entry.levelno >= logging.ERROR]


def test_the_last_failure_is_a_failed_row(desk: Desk) -> None:
    task_id = async_task(fail_often, [], max_attempts=2, hook=hook, broker=desk.broker)

    desk.work(end_when(task_id))

    task = Task.objects.get()
    assert (task.success, task.attempt_count, task.cause) == (False, 2, "error")
    assert _seen[-1] == ("hook", False, 2)
    assert Attempt.objects.count() == 1


def test_without_a_policy_nothing_is_run_again(desk: Desk) -> None:
    task_id = async_task(fail_often, [], broker=desk.broker)

    desk.work(end_when(task_id))

    assert _seen == [(1, 1, 1)]
    assert not Attempt.objects.exists()


def test_a_project_says_it_for_all_tasks(desk: Desk, q_cluster: Configure) -> None:
    q_cluster(max_attempts=2, retry_delay=0)
    task_id = async_task(fail_often, [], broker=desk.broker)

    desk.work(end_when(task_id))

    assert [attempt for attempt, *_ in _seen] == [1, 2]


def test_what_django_q_brings_back_is_not_retried_as_well(q_cluster: Configure) -> None:
    q_cluster(max_attempts=2, ack_failures=False)

    assert policy.run_limit({}) == 1
    assert policy.run_limit({"max_attempts": 3}) == 3
    assert policy.run_limit({"ack_failure": True}) == 2


def test_a_task_asks_to_be_run_again(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "django-q")
    task_id = async_task(ask_again, 0, 2, broker=desk.broker)

    desk.work(end_when(task_id))

    assert Task.objects.get().result == "done"
    assert [entry for entry in caplog.messages if entry.endswith("in 0.0 s: not yet")]
    assert Attempt.objects.filter(error="django_q.exceptions.Retry").count() == 2


def test_a_task_that_asks_for_ever_is_ended(desk: Desk) -> None:
    task_id = async_task(ask_again, broker=desk.broker)

    desk.work(end_when(task_id))

    assert len(_seen) == policy.ASKED_ATTEMPTS
    assert Task.objects.get().result.startswith("not yet : Traceback")


def test_what_is_given_up_on_fails_at_once(desk: Desk) -> None:
    task_id = async_task(
        raise_one, KeyError("x"), max_attempts=5, give_up_on=LookupError, broker=desk.broker
    )

    desk.work(end_when(task_id))

    assert _seen == ["raised"]


def test_a_path_that_leads_nowhere_makes_the_failure_final(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    task_id = async_task(
        raise_one, KeyError("x"), max_attempts=5, retry_on="no.such.Error", broker=desk.broker
    )

    desk.work(end_when(task_id))

    assert _seen == ["raised"]
    assert "cannot be told, so its failure is final" in caplog.text


def test_an_attempt_that_is_recorded_is_not_run_but_its_next_one_is_sent(desk: Desk) -> None:
    task_id = async_task(fail_often, [], max_attempts=2, broker=desk.broker)
    (lease,) = desk.broker.lease()
    desk.broker.release([str(lease.receipt)], counted=True)
    now = timezone.now()
    attempts.write([(task_id, 1, now, now, None, "builtins.ValueError", "text", now)])

    desk.work(end_when(task_id))

    assert _seen == [(2, 2, 1)]


def test_a_last_run_that_is_recorded_is_not_repeated(desk: Desk) -> None:
    task_id = async_task(
        fail_often, [], max_attempts=2, broker=desk.broker, q_options={"task_name": "twice"}
    )
    DatabaseStore().save([make_row(success=False)._replace(id=task_id, attempt_count=2)])
    now = timezone.now()
    attempts.write([(task_id, 1, now, now, None, "builtins.ValueError", "text", now)])
    (lease,) = desk.broker.lease()
    desk.broker.release([str(lease.receipt)], counted=True)

    desk.work()

    assert _seen == []


def test_policies_and_callbacks_travel_as_json(desk: Desk, q_cluster: Configure) -> None:
    q_cluster(serializer="json", retry_delay=0, pickles=False)
    options = {"backoff": at_once, "retry_on": (ValueError, OSError), "on_success": (note, ("x",))}
    task_id = async_task(fail_often, [], times=1, max_attempts=3, broker=desk.broker, **options)

    desk.work(lambda: _seen[-1:] == [(2, "x")])

    assert Task.objects.get(pk=task_id).attempt_count == 2


# In place.


def test_in_place_a_task_runs_once_and_raises_what_it_raised(q_cluster: Configure) -> None:
    q_cluster(max_attempts=5)
    _seen.clear()

    with pytest.raises(Retry, match="not yet"):
        async_task(ask_again, sync=True)

    assert _seen == ["asked"]
    assert Task.objects.get().attempt_count == 1


# Trouble.


def test_a_backoff_that_raises_is_replaced_by_the_plain_delay(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    task_id = async_task(
        raise_one, KeyError("x"), max_attempts=2, backoff=broken, broker=desk.broker
    )

    desk.work(end_when(task_id))

    assert _seen == ["raised"] * 2
    assert "retry_delay is taken" in caplog.text


def test_a_backoff_that_hangs_is_ended(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "_DECISION_TIME", 0.1)
    task_id = async_task(raise_one, KeyError("x"), max_attempts=2, backoff=hang, broker=desk.broker)

    desk.work(end_when(task_id))

    assert _seen == ["raised"] * 2
