"""Tasks with `atomic` that fail, or whose commit does: what is theirs, and what the server's."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.db import DataError, OperationalError, connection

from django_q.cluster.settlement import Settlement
from django_q.exceptions import ResultsUnavailable
from django_q.models import OrmQ, Task
from tests.site import databases
from tests.site.effects import effects
from tests.unit.leased_effects import run, send, take

on_each_database = pytest.mark.parametrize("database", databases.ALIASES, indirect=True)
Configure = Callable[..., Any]


@pytest.fixture(autouse=True)
def _queue(database: str, q_cluster: Configure) -> None:
    q_cluster(orm=database, save_limit=0)


@pytest.mark.parametrize(
    ("func", "text"),
    [
        ("fail", "on purpose"),
        ("give_lambda", "could not be stored"),
        ("roll_back", "transaction"),
        ("enter_a_block", "was not committed: a block of `atomic()`"),
        ("give_what_needs_a_server", "could not be stored"),
        ("leave_asynchronously", "atomic is True, but the task is an async function"),
    ],
)
def test_a_task_that_fails_leaves_nothing(func: str, text: str) -> None:
    send(func, "a")

    ended = run()

    assert effects() == {}
    assert ended and not ended[0].success and text in ended[0].result
    # It is recorded as usual, outside.
    assert ended[1] is None
    assert OrmQ.objects.count() == 1


def test_the_traceback_of_a_failure_begins_with_the_task() -> None:
    send("fail", "a")

    ended = run()

    assert ended and "effects.py" in ended[0].result
    assert "django_q" not in ended[0].result


@on_each_database
def test_a_statement_that_failed_and_was_caught_is_named() -> None:
    send("swallow", "a")

    ended = run()

    assert effects() == {}
    assert ended and not ended[0].success
    assert "Put `with transaction.atomic():` around the statement" in ended[0].result


def test_what_is_left_to_on_commit_and_fails_changes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    send("fail_later", "a")

    ended = run()

    assert ended and ended[0].success and ended[1]
    assert effects() == {"a": 1, "later": 1}
    assert [r for r in caplog.records if r.levelno == logging.ERROR and r.exc_info]


def test_a_task_beyond_its_limit_leaves_nothing() -> None:
    send("take_long", "a", 60, timeout=0.2)

    ended = run()

    assert effects() == {}
    assert ended and ended[0].cause == "timeout"


def test_a_worker_whose_broker_is_elsewhere_fails_the_task(q_cluster: Configure) -> None:
    send("leave", "a")
    lease = take()
    q_cluster(broker_class="django_q.brokers.memory.Memory")

    ended = run(lease)

    assert effects() == {}
    assert ended and "the broker Memory keeps packages outside the database" in ended[0].result


def test_a_commit_that_the_server_ends_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*arguments: Any) -> None:
        raise OperationalError("database is locked")

    send("leave", "a")
    lease = take()
    with monkeypatch.context() as patch:
        patch.setattr(Settlement, "settle_within", refuse)
        assert run(lease) is None

    assert "could not be committed, and is tried again" in caplog.text
    assert (lease.pause, lease.is_counted) == (1.0, True)
    assert effects() == {}
    run(lease)
    assert effects() == {"a": 1}


def test_a_worker_that_caches_its_results_fails_the_task(q_cluster: Configure) -> None:
    send("leave", "a")
    lease = take()
    q_cluster(orm="default", save_limit=0, cached=True)

    ended = run(lease)

    assert ended and "atomic is True, but cached is True" in ended[0].result
    assert effects() == {}


def test_a_row_that_the_server_refuses_is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*arguments: Any) -> None:
        raise ResultsUnavailable("The parts cannot be kept.") from DataError("too long")

    send("leave", "a")
    monkeypatch.setattr(Settlement, "settle_within", refuse)

    ended = run()

    assert ended and not ended[0].success and ended[1] is None


def test_a_block_that_a_task_left_open_ends_with_it() -> None:
    send("enter_a_block", "a")

    run()

    assert not connection.in_atomic_block


def test_in_place_what_is_left_to_on_commit_and_fails_changes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    send("fail_later", "a", sync=True)

    assert effects() == {"a": 1, "later": 1}
    assert Task.objects.get().success
    assert "left to on_commit raised" in caplog.text


@pytest.mark.parametrize("func", ["leave", "fail"])
def test_in_place_a_failure_leaves_nothing(func: str) -> None:
    try:
        send(func, "a", sync=True)
    except ValueError:
        assert func == "fail"

    assert effects() == ({"a": 1} if func == "leave" else {})
    assert Task.objects.get().success is (func == "leave")
