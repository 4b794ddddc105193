"""Packages, built: what they hold, and what is refused at the call."""

import collections
import datetime
import functools
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from django_q.exceptions import PackageError
from django_q.package import build_package, build_packages, derived_id, function_path
from django_q.sealed import open_package, seal_package
from tests.site import tasks

Q = "default"


def build(*args: Any, func: Any = "tests.site.tasks.echo", **kwargs: Any) -> Any:
    return build_package(func, args, kwargs, {})


def reopened(package: Any) -> Any:
    return open_package(seal_package(package, Q), Q)


# Building.


def test_a_package_has_an_id_a_name_and_its_time() -> None:
    before = datetime.datetime.now(datetime.UTC)

    package = build_package(tasks.echo, (1,), {"two": 2}, {"group": "g", "timeout": 5})

    assert len(package["id"]) == 32 and int(package["id"], 16)
    assert package["name"].count("-") == 3
    assert (package["args"], package["kwargs"], package["func"]) == ((1,), {"two": 2}, tasks.echo)
    assert (package["group"], package["timeout"]) == ("g", 5)
    assert before <= package["started"] <= datetime.datetime.now(datetime.UTC)


@pytest.mark.parametrize(("given", "name"), [("mine", "mine"), (5, "5"), ("ü 😀", "ü 😀")])
def test_a_task_may_be_named(given: Any, name: str) -> None:
    package = build_package("tests.site.tasks.noop", (), {}, {"task_name": given})

    assert package["name"] == name
    assert "task_name" not in package
    assert reopened(package)["name"] == name


def test_keywords_of_the_caller_are_not_touched() -> None:
    kwargs: dict[str, Any] = {"a": 1}

    package = build_package("tests.site.tasks.noop", (), kwargs, {})
    package["kwargs"]["b"] = 2

    assert kwargs == {"a": 1}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"task_name": "mine", "group": "g"},
        {"on_success": tasks.noop, "max_attempts": 3, "delay": 5},
    ],
)
def test_packages_made_together_are_those_made_singly(options: dict[str, Any]) -> None:
    pair = collections.namedtuple("pair", "a b")
    calls: list[Any] = [(1,), (), pair(2, 3)]

    singly = [build_package(tasks.echo, args, {"c": [4]}, options) for args in calls]
    together = build_packages(tasks.echo, calls, {"c": [4]}, options)

    apart = ("id", "name", "started", "run_at") if "task_name" not in options else ("id", "started")
    alike = [{k: v for k, v in p.items() if k not in apart} for p in singly]
    assert [{k: v for k, v in p.items() if k not in apart} for p in together] == alike
    assert [list(p) for p in together] == [list(p) for p in singly]
    assert len({p["id"] for p in together}) == len({p["started"] for p in singly}) == 3
    assert all(type(p["args"]) is tuple for p in together)


def test_packages_made_together_have_keywords_of_their_own() -> None:
    kwargs: dict[str, Any] = {"a": 1}

    first, second = build_packages(tasks.echo, [(), ()], kwargs, {})
    first["kwargs"]["b"] = 2

    assert second["kwargs"] == kwargs == {"a": 1}


def test_no_calls_make_no_packages() -> None:
    assert build_packages("nowhere", [], {}, {}) == []


def test_a_function_without_a_place_is_refused_for_many_calls() -> None:
    with pytest.raises(PackageError, match="dotted path"):
        build_packages("nowhere", [(), ()], {}, {})


def _nested() -> Callable[[], None]:
    def inside() -> None:
        """Nobody finds this one."""

    return inside


@pytest.mark.parametrize("func", [lambda: None, _nested()])
def test_a_function_without_a_place_is_refused(func: Any) -> None:
    with pytest.raises(PackageError, match="func is .*top level of a module"):
        build(func=func)


@pytest.mark.parametrize(
    "func", [5, None, "", "noop", "a" * 200 + "." + "b" * 100, "a\0.b", b"tests.site.tasks.noop"]
)
def test_what_is_no_function_is_refused(func: Any) -> None:
    with pytest.raises(PackageError, match="dotted path"):
        build(func=func)


def test_a_hook_is_looked_at_like_the_function() -> None:
    with pytest.raises(PackageError, match="hook is .*top level"):
        build_package("tests.site.tasks.noop", (), {}, {"hook": lambda task: None})
    with pytest.raises(PackageError, match="hook is 'print'"):
        build_package("tests.site.tasks.noop", (), {}, {"hook": "print"})


@pytest.mark.parametrize("key", ["task_name", "group", "cluster"])
@pytest.mark.parametrize("value", ["x" * 101, "a\0b", "\ud800", "x" * 10**6])
def test_a_label_that_no_column_takes_is_refused(key: str, value: str) -> None:
    with pytest.raises(PackageError) as caught:
        build_package("tests.site.tasks.noop", (), {}, {key: value})

    assert f"{key.removeprefix('task_')} is " in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("key", ["task_name", "group", "cluster"])
def test_a_label_may_fill_its_column(key: str) -> None:
    build_package("tests.site.tasks.noop", (), {}, {key: "ü" * 100})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("timeout", "5"),
        ("timeout", True),
        ("timeout", float("nan")),
        ("timeout", float("inf")),
        ("timeout", 10**400),
        ("timeout", datetime.timedelta(seconds=5)),
        ("cached", "yes"),
        ("cached", float("nan")),
    ],
)
def test_an_option_that_means_nothing_is_refused(key: str, value: Any) -> None:
    with pytest.raises(PackageError, match=f"{key} is .*: give a number of seconds"):
        build_package("tests.site.tasks.noop", (), {}, {key: value})


@pytest.mark.parametrize(
    ("key", "value"),
    [("timeout", 0.5), ("timeout", -1), ("timeout", None), ("cached", True), ("cached", 30)],
)
def test_an_option_that_means_something_is_kept(key: str, value: Any) -> None:
    package = build_package("tests.site.tasks.noop", (), {}, {key: value})

    assert package[key] is value  # type: ignore[literal-required]


# Names of functions.


@pytest.mark.parametrize(
    ("func", "path"),
    [
        ("app.tasks.work", "app.tasks.work"),
        (tasks.noop, "tests.site.tasks.noop"),
        (len, "builtins.len"),
        (str.upper, "str.upper"),
        ([].append, "list.append"),
        (tasks.Unshowable, "tests.site.oddities.Unshowable"),
        (tasks.Unshowable(), "tests.site.oddities.Unshowable"),
    ],
)
def test_every_callable_has_a_path(func: Any, path: str) -> None:
    assert function_path(func) == path


def test_a_path_is_never_longer_than_its_column() -> None:
    assert len(function_path(functools.partial(tasks.echo, "x" * 1000))) == 256


def test_what_follows_has_the_same_id_each_time() -> None:
    parent = build()["id"]

    assert derived_id(parent, 1) == derived_id(parent, 1)
    assert len({derived_id(parent, 1), derived_id(parent, 2), derived_id(parent, "x"), parent}) == 4
    assert len(derived_id(parent, 1)) == 32


def test_a_derived_id_stands_beside_its_parent() -> None:
    parent = build()["id"]

    id = uuid.UUID(derived_id(parent, 1))

    assert id.hex[:12] == parent[:12]
    assert (id.version, id.variant) == (8, uuid.RFC_4122)
