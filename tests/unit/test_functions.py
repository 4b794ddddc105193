"""How functions are found by their paths."""

import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from django_q.exceptions import PackageError
from django_q.functions import find_function
from tests.site import tasks

_MODULE = """
import sys

def work():
    return "early"

halfway, go_on = sys.django_q_gate
halfway.set()
go_on.wait(10)

def work():
    return "late"
"""


@pytest.fixture(autouse=True)
def settings(q_cluster: Callable[..., Any]) -> None:
    q_cluster()


@pytest.fixture
def slow_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, threading.Event]]:
    """A module that another thread is just importing, and what lets it go on."""
    halfway, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr(sys, "django_q_gate", (halfway, go_on), raising=False)
    name = "imported_slowly"
    (tmp_path / f"{name}.py").write_text(_MODULE, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    thread = threading.Thread(target=importlib.import_module, args=[name])
    thread.start()
    assert halfway.wait(10)
    yield name, go_on
    go_on.set()
    thread.join()
    sys.modules.pop(name, None)


def test_what_stands_in_a_functions_place_now_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    path = "tests.site.tasks.noop"
    assert find_function(path) is tasks.noop

    def another() -> None:
        """Stand in its place."""

    monkeypatch.setattr(tasks, "noop", another)

    assert find_function(path) is another


def test_a_module_that_is_being_imported_is_waited_for(
    slow_module: tuple[str, threading.Event],
) -> None:
    name, go_on = slow_module
    timer = threading.Timer(0.2, go_on.set)
    timer.start()

    found = find_function(f"{name}.work")

    assert found() == "late"
    timer.join()


def test_a_module_that_cannot_give_it_is_told_by_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> Any:
        raise ImportError(f"{name} needs a library")

    monkeypatch.setattr(tasks, "__getattr__", refuse, raising=False)

    with pytest.raises(PackageError, match=r"'tests.site.tasks.lazy' cannot be found: lazy needs"):
        find_function("tests.site.tasks.lazy")
