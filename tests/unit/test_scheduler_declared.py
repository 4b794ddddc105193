"""Schedules that settings declare: kept by name, and only where they are the settings' own."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from django_q.models import Schedule
from django_q.planning import synchronise
from django_q.schedule_arguments import read
from django_q.tasks import schedule
from tests.site import databases
from tests.unit.planned import MEMORY, Configure, make

ECHO = "tests.site.tasks.echo"
everywhere = pytest.mark.parametrize("database", databases.ALIASES, indirect=True)


@pytest.fixture(autouse=True)
def settings(database: str, q_cluster: Configure) -> Configure:
    q_cluster(broker_class=MEMORY)
    return q_cluster


@pytest.fixture
def declare(settings: Configure) -> Callable[..., None]:
    """Function that declares schedules and starts a cluster, as far as they are concerned."""

    def start(queue: str = "default", **schedules: Any) -> None:
        settings(broker_class=MEMORY, schedules=schedules)
        synchronise(queue)

    return start


HOURLY = {"func": ECHO, "schedule_type": "H"}


@everywhere
def test_declared_schedules_are_made_changed_and_disabled(
    database: str, declare: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "django-q")
    declare(one=HOURLY, two={"func": ECHO, "cron": "0 4 * * *", "args": [1], "kwargs": {"a": 2}})
    rows = {row.name: row for row in Schedule.objects.all()}
    assert (rows["one"].schedule_type, rows["two"].schedule_type) == ("H", "C")
    assert (rows["two"].args, rows["two"].kwargs) == ("(1,)", "{'a': 2}")

    declare(one=HOURLY | {"args": ["new"]})

    after = {row.name: row for row in Schedule.objects.all()}
    assert after["one"].pk == rows["one"].pk
    assert (after["one"].args, after["one"].next_run) == ("('new',)", rows["one"].next_run)
    assert not after["two"].enabled
    assert "no longer declared" in (after["two"].error or "")
    assert "one was changed" in caplog.text

    declare(one=HOURLY | {"args": ["new"]}, two={"func": ECHO, "cron": "0 4 * * *"})
    assert Schedule.objects.get(name="two").enabled
    assert Schedule.objects.count() == 2


def test_a_start_that_declares_the_same_changes_nothing(declare: Callable[..., None]) -> None:
    declare(one=HOURLY | {"repeats": 5})
    Schedule.objects.update(repeats=2, enabled=False)
    before = Schedule.objects.values().get()

    declare(one=HOURLY | {"repeats": 5})

    assert Schedule.objects.values().get() == before


@pytest.mark.parametrize("kind", [set, frozenset])
def test_a_start_of_another_process_that_declares_equal_arguments_changes_nothing(
    kind: type, declare: Callable[..., None]
) -> None:
    one, other = kind([0, 8]), kind([8, 0])
    assert repr(one) != repr(other)
    declare(one=HOURLY | {"args": [one], "kwargs": {"a": one, "b": 1}})
    before = Schedule.objects.values().get()

    declare(one=HOURLY | {"args": [other], "kwargs": {"b": 1, "a": other}})

    assert Schedule.objects.values().get() == before


@pytest.mark.parametrize("kind", [set, frozenset])
def test_arguments_that_were_changed_by_hand_are_as_declared_after_a_start(
    kind: type, declare: Callable[..., None]
) -> None:
    declare(one=HOURLY | {"args": [kind([1])]})
    before = Schedule.objects.values().get()
    for text in ("{True}", "5", "no literal"):
        Schedule.objects.update(args=text)

        declare(one=HOURLY | {"args": [kind([1])]})

        assert Schedule.objects.values("args").get() == {"args": before["args"]}


def test_sealed_arguments_are_sealed_anew_where_packages_have_another_form(
    settings: Configure,
) -> None:
    schedules = {"one": HOURLY | {"args": [frozenset([1])]}}
    settings(broker_class=MEMORY, schedules=schedules)
    synchronise("default")

    settings(broker_class=MEMORY, schedules=schedules, serializer="json", pickles=False)
    synchronise("default")

    row = Schedule.objects.get()
    assert read(row.args, row.kwargs, row.sealed).args == (frozenset([1]),)


def test_what_was_changed_by_hand_is_as_declared_after_a_start(
    declare: Callable[..., None],
) -> None:
    declare(one=HOURLY)
    Schedule.objects.update(func="other.function", schedule_type="D")

    declare(one=HOURLY)

    assert list(Schedule.objects.values_list("func", "schedule_type")) == [(ECHO, "H")]


def test_a_broken_schedule_is_tried_again_once_its_declaration_is_mended(
    declare: Callable[..., None],
) -> None:
    declare(one=HOURLY)
    Schedule.objects.update(enabled=False, error="It is broken.")

    declare(one=HOURLY)
    assert not Schedule.objects.get().enabled
    declare(one=HOURLY | {"args": ["mended"]})

    assert list(Schedule.objects.values_list("enabled", "error")) == [(True, None)]


def test_rows_made_by_hand_stay_as_they_are(
    declare: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    make(name="one")
    make(name="hand")
    schedule(ECHO, name="code", update_by_name=True)
    before = list(Schedule.objects.values())

    declare(one=HOURLY)

    assert list(Schedule.objects.values()) == before
    assert "made otherwise" in caplog.text


def test_each_cluster_sees_to_its_own_queue(declare: Callable[..., None]) -> None:
    both = {"own": HOURLY, "others": HOURLY | {"cluster": "other"}}

    declare("default", **both)
    assert list(Schedule.objects.values_list("name", flat=True)) == ["own"]
    declare("other", **both)
    assert Schedule.objects.count() == 2
    declare("default", own=HOURLY)
    assert Schedule.objects.filter(enabled=True).count() == 2
    declare("other", own=HOURLY)
    assert Schedule.objects.get(enabled=False).name == "others"


@pytest.mark.parametrize(
    "wrong",
    [
        *(5, {}, {"func": ECHO}, HOURLY | {"minuets": 5}, HOURLY | {"func": "nothing"}),
        *(HOURLY | {"schedule_type": "sometimes"}, {"func": ECHO, "cron": "61 * * * *"}),
        *(HOURLY | {"repeats": "many"}, HOURLY | {"q_options": 5}, HOURLY | {"args": [lambda: 0]}),
    ],
    ids=lambda value: str(value).partition(" at 0x")[0],
)
def test_a_wrong_declaration_is_told_and_the_others_are_made(
    wrong: Any, declare: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    declare(first=HOURLY)
    declare(first=wrong, second=HOURLY)

    assert list(Schedule.objects.order_by("pk").values_list("name", "enabled")) == [
        *(("first", True), ("second", True))
    ]
    assert 'first is declared in Q_CLUSTER["schedules"], which cannot be' in caplog.text


@pytest.mark.parametrize("kind", ["H", "hourly", "HOURLY"])
def test_types_may_be_declared_by_name(kind: str, declare: Callable[..., None]) -> None:
    declare(one={"func": ECHO, "schedule_type": kind})

    assert Schedule.objects.get().schedule_type == Schedule.HOURLY


def test_a_first_time_may_be_declared_as_text(declare: Callable[..., None]) -> None:
    declare(one=HOURLY | {"next_run": "2050-01-01 09:00"})

    assert Schedule.objects.get().next_run.isoformat() == "2050-01-01T09:00:00+00:00"
