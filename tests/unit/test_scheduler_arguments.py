"""Arguments of schedules: any values get through, texts are literals, and nothing is run."""

import collections
import decimal
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from django_q import schedule_arguments, signals
from django_q.brokers import get_broker
from django_q.exceptions import PackageError
from django_q.models import Schedule
from django_q.package import TaskPackage
from django_q.schedule_arguments import keep, parse_args, parse_kwargs, read
from django_q.scheduler import Scheduler
from django_q.tasks import schedule
from tests.site import databases
from tests.site.tasks import RunsWhenOpened, Unpicklable, Unshowable, echo, write
from tests.unit.planned import MEMORY, NOW, Configure, make, run

ECHO = "tests.site.tasks.echo"
Point = collections.namedtuple("Point", "x y")


@pytest.fixture(autouse=True)
def settings(database: str, q_cluster: Configure) -> Configure:
    q_cluster(broker_class=MEMORY)
    return q_cluster


def through(*args: Any, **kwargs: Any) -> TaskPackage:
    """The package of a schedule with these arguments."""
    schedule(ECHO, *args, next_run=NOW, **kwargs)
    (package,) = run()
    return package


# Values.


@pytest.mark.parametrize("database", databases.ALIASES, indirect=True)
@pytest.mark.parametrize(
    "value",
    [
        *(1, "ü'\"\n\0\\", b"\xff", None, True, 1.5, 2j, float("inf"), -0.0, 10**400),
        *((), [1, [2]], {"a": {1: (2,)}}, {1, 2}, set(), {"x": []}),
        *(datetime(2026, 1, 1, tzinfo=UTC), date(2026, 1, 1), timedelta(1), decimal.Decimal("1.1")),
        *(frozenset([1]), collections.OrderedDict(a=1), Point(1, 2), echo, range(3), "x" * 5000),
    ],
    ids=lambda value: repr(value).partition(" at 0x")[0][:30],
)
def test_d8_any_value_gets_through(database: str, value: Any) -> None:
    package = through(value, "beside", key=value)

    assert package["args"] == (value, "beside")
    assert package["kwargs"] == {"key": value}
    assert type(package["args"][0]) is type(value)


def test_what_is_literal_stands_as_text_and_the_rest_is_shown() -> None:
    literal = schedule(ECHO, 1, "two", three=[4], q_options={"timeout": 5})
    sealed = schedule(ECHO, date(2026, 1, 1), by=Unshowable())

    assert (literal.args, literal.sealed) == ("(1, 'two')", None)
    assert literal.kwargs == "{'three': [4], 'q_options': {'timeout': 5}}"
    assert sealed.args == "(datetime.date(2026, 1, 1),)"
    assert sealed.kwargs == "<dict that cannot be shown>"
    assert sealed.sealed


def test_options_and_the_due_time_reach_a_task_with_sealed_arguments() -> None:
    when = date(2026, 1, 1)
    package = through(
        when,
        mine=when,
        intended_date_kwarg="due",
        timeout=5,
        q_options={"group": "g", "task_name": "n", "broker_name": "default"},
    )

    assert package["kwargs"] == {"mine": when, "due": NOW.isoformat()}
    assert (package["timeout"], package["group"], package["name"]) == (5, "g", "n")
    assert package["cluster"] == "default"


@pytest.mark.parametrize("value", [1, date(2026, 1, 1)])
def test_a_keyword_named_as_an_option_in_q_options_is_the_functions(value: Any) -> None:
    package = through(timeout=value, q_options={"timeout": 5})

    assert (package["kwargs"], package["timeout"]) == ({"timeout": value}, 5)


def test_a_chain_may_have_arguments_of_any_kind() -> None:
    chain = [(ECHO, (date(2026, 1, 1),)), (echo,)]

    assert through(1, q_options={"chain": chain})["chain"] == chain


def test_what_cannot_be_pickled_is_told_at_once() -> None:
    with pytest.raises(PackageError, match="argument 'late'"):
        schedule(ECHO, late=Unpicklable())

    assert not Schedule.objects.exists()


def test_a_pickle_of_before_goes_into_a_json_package(settings: Configure) -> None:
    schedule(ECHO, {1}, next_run=NOW)
    settings(broker_class=MEMORY, serializer="json")

    (package,) = run()

    assert package["args"] == ({1},)


def test_pickles_may_be_refused(settings: Configure, tmp_path: Path) -> None:
    kept = keep((RunsWhenOpened(write, str(tmp_path / "ran"), "opened"),), {}, {})

    for serializer in ("pickle", "json"):
        settings(broker_class=MEMORY, serializer=serializer, pickles=False)
        with pytest.raises(ValueError, match="pickle.*refuses"):
            read(*kept)

    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("option", [{"timeout": "5"}, {"broker": object()}, {"hook": lambda: 0}])
def test_options_that_no_task_can_have_are_told_at_once(option: dict[str, Any]) -> None:
    with pytest.raises(PackageError):
        schedule(ECHO, q_options=option)


# Texts.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((None, ()), ("", ()), ("  ", ()), ("()", ())),
        *(("1", (1,)), ("'one'", ("one",)), ("1, 2, 'John'", (1, 2, "John")), ("(1,)", (1,))),
        *(
            ("[1, 2]", ([1, 2],)),
            ("{'a': 1}", ({"a": 1},)),
            (" 1,\n 2 ", (1, 2)),
            ("None", (None,)),
        ),
    ],
)
def test_old_texts_of_arguments_are_read(text: str | None, expected: tuple[Any, ...]) -> None:
    assert parse_args(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((None, {}), ("", {}), ("{}", {}), ("{'x': 1}", {"x": 1})),
        *(("x=1, y='two'", {"x": 1, "y": "two"}), ("x=[1, {'a': None}],", {"x": [1, {"a": None}]})),
        *(("x=1,\n  y=-2", {"x": 1, "y": -2}), ("x=1  # one", {"x": 1})),
    ],
)
def test_old_texts_of_keyword_arguments_are_read(
    text: str | None, expected: dict[str, Any]
) -> None:
    assert parse_kwargs(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("x", "f()", "1 +", "datetime.datetime(2026, 1, 1)", "__import__('os').getpid()"),
        *("(" * 300, "-" * 100_000 + "1", "[" * 100_000, "\0"),
    ],
    ids=lambda text: text[:20],
)
def test_no_other_text_is_taken_for_arguments(text: str) -> None:
    with pytest.raises(ValueError, match="literal"):
        parse_args(text)


@pytest.mark.parametrize(
    "text",
    [
        *("x", "5", "'a'", "[1]", "{1: 2}", "{1, 2}", "x=f()", "x=1, x=2", "**{'a': 1}", "1, x=2"),
        *("x=1), g(y=2", "x=1)(y=2", "x=1) or (2", "x=" + "(" * 300, "x='", "x=1; y=2"),
    ],
    ids=lambda text: text[:20],
)
def test_d8_no_other_text_is_taken_for_keyword_arguments(text: str) -> None:
    with pytest.raises(ValueError, match="keyword arguments"):
        parse_kwargs(text)


# What is sealed.


def test_a_text_that_was_changed_counts() -> None:
    schedule(ECHO, date(2026, 1, 1), next_run=NOW)

    Schedule.objects.update(args="(5,)")

    assert run()[0]["args"] == (5,)


def test_sealed_arguments_of_another_key_are_refused() -> None:
    schedule(ECHO, date(2026, 1, 1), next_run=NOW)

    with override_settings(SECRET_KEY="another"):
        assert run() == []

    assert "signature" in (Schedule.objects.get().error or "")


def test_the_previous_key_is_still_good() -> None:
    schedule(ECHO, date(2026, 1, 1), next_run=NOW)
    old = "the key of the tests, which guards nothing"

    with override_settings(SECRET_KEY="another", SECRET_KEY_FALLBACKS=[old]):
        assert run()[0]["args"] == (date(2026, 1, 1),)


def test_sealed_arguments_of_another_row_fit_only_there() -> None:
    first = schedule(ECHO, date(2026, 1, 1))
    other = schedule(ECHO, date(2026, 1, 2))
    assert other.sealed and first.sealed
    digest = schedule_arguments._digest(first.args, first.kwargs)

    with pytest.raises(ValueError, match="signature"):
        read(first.args, first.kwargs, f"{digest}:{other.sealed.partition(':')[2]}")


def test_a_changed_option_of_a_sealed_row_is_read() -> None:
    kept = keep((date(2026, 1, 1),), {}, {"timeout": 5})

    assert kept.sealed is not None
    assert read(kept.args, kept.kwargs, kept.sealed).options == {"timeout": 5}
    with pytest.raises(ValueError, match="options"):
        read(kept.args, kept.kwargs, kept.sealed.replace("5}", "5"))


# User code.


def test_the_scheduler_opens_no_arguments(tmp_path: Any) -> None:
    opened = tmp_path / "opened"
    schedule(ECHO, RunsWhenOpened(write, str(opened), "x"), next_run=NOW)

    Scheduler(get_broker()).run_due(NOW)

    assert not opened.exists()


def test_receivers_of_pre_enqueue_see_the_arguments_and_may_change_them() -> None:
    def receive(task: Any, **kwargs: Any) -> None:
        task["kwargs"]["more"] = task["args"][0].year

    signals.pre_enqueue.connect(receive)
    try:
        package = through(date(2026, 1, 1))
    finally:
        signals.pre_enqueue.disconnect(receive)

    assert package["kwargs"] == {"more": 2026}


def test_django_q2_gets_arguments_it_can_open(settings: Configure) -> None:
    settings(broker_class=MEMORY, legacy="write")

    package = through(date(2026, 1, 1))

    assert package["args"] == (date(2026, 1, 1),)


def test_arguments_that_cannot_be_opened_for_receivers_disable_their_schedule() -> None:
    def receive(**kwargs: Any) -> None:
        pass

    make(name="good")
    schedule(ECHO, RunsWhenOpened(int, "no number"), next_run=NOW, name="bad")
    signals.pre_enqueue.connect(receive)
    try:
        packages = run()
    finally:
        signals.pre_enqueue.disconnect(receive)

    assert [package["group"] for package in packages] == ["good"]
    assert "cannot be opened" in (Schedule.objects.get(name="bad").error or "")
