"""Packages that are opened before their turn."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest

from django_q.brokers import Lease
from django_q.cluster import ahead
from django_q.cluster.ahead import make_ready, plain_package
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

    with mock.patch.object(ahead, "open_plain") as again:
        package = plain_package(plain)

    assert package is not None and package["args"] == (1, "Grüße", [2.5, None])
    assert not again.called


def test_one_with_code_is_left_to_the_main_thread() -> None:
    coded = make_ready(lease(Loud()))

    with mock.patch.object(ahead, "open_plain") as again:
        assert plain_package(coded) is None

    assert not again.called
    assert _ran == []


@pytest.mark.parametrize("value", ["x" * 5000, timedelta(1)])
def test_what_was_not_tried_is_opened_in_its_turn_if_that_takes_no_code(value: Any) -> None:
    later = lease(value, deliveries=1 if isinstance(value, str) else 0)

    assert make_ready(later).package == ""
    package = plain_package(later)

    assert (package and package["args"]) == (("x" * 5000,) if isinstance(value, str) else None)


@pytest.mark.parametrize("deliveries", [0, 2])
def test_one_that_came_before_is_not_opened_before_its_past_is_known(deliveries: int) -> None:
    assert make_ready(lease(1, deliveries=deliveries)).package == ""


def test_one_that_is_to_be_rejected_is_left_to_the_main_thread() -> None:
    foreign = Lease("receipt", "no package of ours")
    foreign.queue = "mail"

    assert plain_package(make_ready(foreign)) is None
