"""One run of one package: the function is found, called within its limit, and told how it ended."""

from collections.abc import Iterator
from typing import Any, NoReturn
from unittest import mock

import pytest
from django.test import override_settings
from django.utils import timezone

from django_q import signals
from django_q.exceptions import PackageError
from django_q.executor import (
    announce_executed,
    error_text,
    execute,
    find_function,
)
from django_q.package import Outcome, build_package
from django_q.soft_limit import NoLimit
from tests.site import tasks


def run(func: Any, *args: Any) -> Outcome:
    return execute(build_package(func, args, {}, {}), NoLimit())


# The call.


def test_a_task_gives_its_value() -> None:
    outcome = execute(build_package("tests.site.tasks.echo", (1,), {"b": 2}, {}), NoLimit())

    assert (outcome.success, outcome.result, outcome.error) == (True, ((1,), {"b": 2}), None)
    assert outcome.started <= outcome.stopped


@pytest.mark.parametrize("use_tz", [True, False])
def test_the_moments_of_a_run_are_as_django_gives_them(use_tz: bool) -> None:
    with override_settings(USE_TZ=use_tz):
        before = timezone.now()
        outcome = run(tasks.noop)
        after = timezone.now()

    assert outcome.started.tzinfo is outcome.stopped.tzinfo is before.tzinfo
    assert before <= outcome.started <= outcome.stopped <= after


def test_a_coroutine_is_awaited() -> None:
    assert run("tests.site.tasks.answer").result == 42
    assert run(tasks.answer).result == 42


def test_a_coroutine_that_raises_has_failed() -> None:
    outcome = run(tasks.fail_later, "not today")

    assert not outcome.success
    assert outcome.result.startswith("not today : Traceback")


@pytest.mark.parametrize(
    ("func", "args", "text"),
    [
        (tasks.fail, ("on purpose",), "on purpose : Traceback"),
        (tasks.leave, (3,), "3 : Traceback"),
        (tasks.interrupt, (), " : Traceback"),
        (tasks.noop, (1, 2), "noop() takes 0 positional arguments but 2 were given : Traceback"),
        ("tests.site.tasks.missing", (), "The function 'tests.site.tasks.missing' cannot be found"),
        ("tests.nowhere.work", (), "The function 'tests.nowhere.work' cannot be found"),
        ("tests..work", (), "The function 'tests..work' cannot be found"),
        (".work", (), "The function '.work' cannot be found"),
        ("tests.site.tasks.os", (), "'tests.site.tasks.os' is a module, not a function"),
    ],
)
def test_whatever_is_raised_only_fails_the_task(func: Any, args: Any, text: str) -> None:
    outcome = run(func, *args)

    assert not outcome.success
    assert outcome.result.startswith(text)
    assert isinstance(outcome.error, BaseException)


def test_keywords_that_are_no_names_only_fail_the_task() -> None:
    package = build_package(tasks.echo, (), {}, {})
    package["kwargs"] = {1: 2}  # type: ignore[dict-item]

    assert not execute(package, NoLimit()).success


def test_the_traceback_begins_with_the_task() -> None:
    text = run(tasks.fail).result

    assert "tests/site/tasks.py" in text
    assert "django_q/executor.py" not in text
    assert text.rstrip().endswith("ValueError: on purpose")


class _Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def raise_mute() -> NoReturn:
    raise _Mute


def raise_chained() -> NoReturn:
    try:
        raise KeyError("first")
    except KeyError as error:
        raise _Mute from error


@pytest.mark.parametrize("func", [raise_mute, raise_chained])
def test_an_error_that_cannot_be_told_is_named_at_least(func: Any) -> None:
    assert run(func).result.startswith("_Mute : ")


def test_text_of_an_error_that_was_never_raised() -> None:
    assert error_text(ValueError("ü\0\ud800")).startswith("ü\0\ud800 : ValueError")


def recurse(depth: int = 0) -> int:
    return recurse(depth + 1)


def test_a_task_without_end_in_its_calls_fails() -> None:
    outcome = run(recurse)

    assert isinstance(outcome.error, RecursionError)
    assert len(outcome.result) < 10_000


# Finding the function.


class Shop:
    """Has a method that is named by its path."""

    @staticmethod
    def open() -> str:
        """Open it."""
        return "open"


def test_a_method_is_found_by_its_path() -> None:
    assert find_function(f"{__name__}.Shop.open")() == "open"


def test_a_callable_is_its_own_function() -> None:
    assert find_function(tasks.noop) is tasks.noop


def test_a_function_put_in_its_place_is_found() -> None:
    assert run("tests.site.tasks.answer").result == 42

    with mock.patch("tests.site.tasks.answer", return_value="patched"):
        assert run("tests.site.tasks.answer").result == "patched"


def test_a_module_that_cannot_be_imported_shows_the_real_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "broken_tasks.py").write_text("import a_library_nobody_has\n")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(PackageError, match="No module named 'a_library_nobody_has'"):
        find_function("broken_tasks.work")


# Receivers.


@pytest.fixture
def received() -> Iterator[list[dict[str, Any]]]:
    """What receivers of all signals of the worker were sent."""
    calls: list[dict[str, Any]] = []

    def receive(sender: str, signal: Any, **arguments: Any) -> None:
        calls.append({"sender": sender, **arguments})

    connected = (signals.pre_execute, signals.post_execute_in_worker)
    for each in connected:
        each.connect(receive)
    yield calls
    for each in connected:
        each.disconnect(receive)


def test_receivers_see_function_and_package(received: list[dict[str, Any]]) -> None:
    outcome = run("tests.site.tasks.add", 1, 2)
    announce_executed(outcome, NoLimit())

    before, after = received
    assert before["sender"] == after["sender"] == "django_q"
    assert before["func"] is after["func"] is tasks.add
    assert "result" not in before["task"]
    assert (after["task"]["result"], after["task"]["success"]) == (3, True)
    assert after["task"]["stopped"] == outcome.stopped


def test_receivers_hear_of_a_function_that_is_not_there(received: list[dict[str, Any]]) -> None:
    announce_executed(run("tests.site.tasks.missing"), NoLimit())

    assert [call["func"] for call in received] == ["tests.site.tasks.missing"]


@pytest.fixture
def rude_receiver() -> Iterator[None]:
    """A receiver that raises, connected to everything."""

    def raise_it(**arguments: Any) -> NoReturn:
        raise LookupError("a receiver fails")

    connected = (signals.pre_execute, signals.post_execute_in_worker)
    for each in connected:
        each.connect(raise_it)
    yield
    for each in connected:
        each.disconnect(raise_it)


@pytest.mark.usefixtures("rude_receiver")
def test_a_receiver_that_raises_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    outcome = run(tasks.answer)
    announce_executed(outcome, NoLimit())

    assert outcome.result == 42
    ours = [record for record in caplog.records if record.name == "django-q"]
    assert len(ours) == 2
    package = outcome.package
    assert f"raise_it raised for {package['name']} [{package['id']}]" in ours[0].getMessage()
