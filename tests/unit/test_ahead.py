"""Packages that are opened before their turn."""

from collections.abc import Callable
from typing import Any

import pytest

from django_q.brokers import Lease
from django_q.cluster.ahead import make_ready, take_package
from django_q.package import build_package
from django_q.sealed import seal_package

pytestmark = pytest.mark.usefixtures("database")

_ran: list[str] = []


class Loud:
    """Says when it is unpickled."""

    def __setstate__(self, state: Any) -> None:
        _ran.append("unpickled")

    def __getstate__(self) -> str:
        return "a state"


@pytest.fixture(autouse=True)
def settings(q_cluster: Callable[..., Any]) -> None:
    q_cluster()
    _ran.clear()


def lease(*args: Any, deliveries: int = 1) -> Lease:
    """A package of a queue, as its clerk has it."""
    package = build_package("tests.site.tasks.noop", args, {}, {})
    made = Lease("receipt", seal_package(package, "mail"), deliveries=deliveries)
    made.queue = "mail"
    return made


def test_a_package_of_plain_values_is_opened_once() -> None:
    plain = make_ready(lease(1, "Grüße", [2.5, None]))
    opened = plain.package

    package = take_package(plain)

    assert package is not None and package["args"] == (1, "Grüße", [2.5, None])
    assert package is opened


def test_what_was_taken_out_is_not_kept_until_it_is_settled() -> None:
    for each in (lease([]), lease(["x" * 5000])):
        assert take_package(make_ready(each))

        assert each.package is None


def test_one_with_code_is_left_to_the_main_thread() -> None:
    tried, untried = make_ready(lease(Loud())), lease(Loud())

    assert (tried.package, untried.package) == (None, "")
    assert take_package(tried) is take_package(untried) is None

    assert _ran == []


def test_a_large_one_is_opened_in_its_turn() -> None:
    large = make_ready(lease("x" * 5000))
    assert large.package == ""

    package = take_package(large)

    assert package is not None and package["args"] == ("x" * 5000,)


@pytest.mark.parametrize("deliveries", [0, 2])
def test_one_that_came_before_is_not_opened_before_its_past_is_known(deliveries: int) -> None:
    assert make_ready(lease(1, deliveries=deliveries)).package == ""


def test_one_that_is_to_be_rejected_is_left_to_the_main_thread() -> None:
    foreign = Lease("receipt", "no package of ours")
    foreign.queue = "mail"

    assert take_package(make_ready(foreign)) is None
