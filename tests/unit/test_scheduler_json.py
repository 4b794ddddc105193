"""Arguments of schedules where packages are JSON."""

import collections
import decimal
from datetime import date, timedelta
from typing import Any

import pytest

from django_q.exceptions import PackageError
from django_q.models import Schedule
from django_q.package import TaskPackage
from django_q.tasks import schedule
from tests.site.tasks import echo
from tests.unit.planned import MEMORY, NOW, Configure, run

ECHO = "tests.site.tasks.echo"
Point = collections.namedtuple("Point", "x y")


@pytest.fixture(autouse=True)
def settings(database: str, q_cluster: Configure) -> Configure:
    q_cluster(broker_class=MEMORY, serializer="json", pickles=False)
    return q_cluster


def through(*args: Any, **kwargs: Any) -> TaskPackage:
    """The package of a schedule with these arguments."""
    schedule(ECHO, *args, next_run=NOW, **kwargs)
    (package,) = run()
    return package


@pytest.mark.parametrize(
    "value",
    [date(2026, 1, 1), decimal.Decimal("1.1"), frozenset([1]), float("nan"), [timedelta(1)]],
)
def test_where_packages_are_json_so_are_the_arguments(value: Any) -> None:
    package = through(value, key=value, timeout=5, intended_date_kwarg="due")

    assert repr((package["args"], package["kwargs"])) == repr(
        ((value,), {"key": value, "due": NOW.isoformat()})
    )
    assert package["timeout"] == 5


def test_as_json_a_chain_has_its_functions_by_their_paths() -> None:
    chain = [(echo, (date(2026, 1, 1),)), (ECHO,)]

    package = through(1, q_options={"chain": chain})

    assert package["chain"] == [(ECHO, (date(2026, 1, 1),)), (ECHO,)]


def test_what_was_kept_as_json_is_read_when_packages_are_pickles_again(settings: Configure) -> None:
    schedule(ECHO, date(2026, 1, 1), next_run=NOW)
    settings(broker_class=MEMORY)

    (package,) = run()

    assert package["args"] == (date(2026, 1, 1),)


def test_what_has_no_form_in_json_is_told_at_once() -> None:
    with pytest.raises(PackageError, match="argument 1 .* cannot be written as JSON"):
        schedule(ECHO, Point(1, 2))

    assert not Schedule.objects.exists()


@pytest.mark.parametrize("pickles", [True, False])
def test_what_was_kept_as_a_pickle_and_cannot_go_as_json_says_what_to_do(
    settings: Configure, pickles: bool
) -> None:
    settings(broker_class=MEMORY)
    schedule(ECHO, Point(1, 2), next_run=NOW)
    settings(broker_class=MEMORY, serializer="json", pickles=pickles)

    assert run() == []

    row = Schedule.objects.get()
    assert not row.enabled
    assert "Make the schedule anew" in str(row.error)
    assert "enable the schedule" in str(row.error)
