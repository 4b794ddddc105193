"""Periodic functions: found in the modules `tasks` of apps, and kept as schedules."""

import logging
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from django_q.discovery import declared_by_decorators
from django_q.models import Schedule
from django_q.planning import Declarations, synchronise
from django_q.soft_limit import SoftLimit
from django_q.tasks import periodic, schedule
from tests.site.decorated.tasks import send_receipt
from tests.site.settings import INSTALLED_APPS
from tests.unit.planned import MEMORY, Configure

TICK = "tests.site.decorated.tasks.tick"


@pytest.fixture(autouse=True)
def settings(database: str, q_cluster: Configure) -> Configure:
    q_cluster(broker_class=MEMORY)
    return q_cluster


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Declarations]]:
    """Function that installs an app with this text in its `tasks`, and says what is declared."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "newcomer").mkdir()
    (tmp_path / "newcomer" / "__init__.py").touch()

    def install(text: str) -> Declarations:
        for name in ("newcomer", "newcomer.tasks"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        (tmp_path / "newcomer" / "tasks.py").write_text(f"from django_q.tasks import *\n{text}\n")
        with override_settings(INSTALLED_APPS=[*INSTALLED_APPS, "newcomer"]):
            return declared_by_decorators(SoftLimit())

    yield install


def test_declarations_stand_beside_functions() -> None:
    apps = [*INSTALLED_APPS, "tests.site.decorated"]

    with override_settings(INSTALLED_APPS=apps):
        found = declared_by_decorators(SoftLimit())

    options = {"timeout": 20, "group": "ticks"}
    common = {"func": TICK, "q_options": options}
    tick = {"seconds": 1, "schedule_type": "seconds", "args": ("tick",), "kwargs": {}}
    night = {"cron": "0 4 * * *", "schedule_type": "cron", "args": (), "kwargs": {"word": "night"}}
    assert found.entries == {TICK: tick | common, "nightly": night | common}
    assert found.is_complete


def test_schedules_are_made_changed_and_disabled(
    app: Callable[[str], Declarations], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "django-q")
    text = "@periodic(every={})\n@task(cluster={!r}, timeout=5)\ndef beat(): pass"
    schedule("math.sqrt", 4, name="by hand", schedule_type="H")

    synchronise("default", app(text.format(60, None)))
    made = Schedule.objects.get(name="newcomer.tasks.beat")
    assert (made.func, made.seconds, made.enabled) == ("newcomer.tasks.beat", 60, True)
    assert "'timeout': 5" in made.kwargs
    synchronise("default", app(text.format(90, None)))
    changed = Schedule.objects.get(pk=made.pk)
    assert changed.seconds == 90
    synchronise("default", app(""))
    gone = Schedule.objects.get(pk=made.pk)
    assert not gone.enabled
    assert gone.error == "It is no longer declared beside a function, in tasks of an app."
    synchronise("default", app(text.format(90, None)))
    assert Schedule.objects.get(pk=made.pk).enabled
    assert Schedule.objects.get(name="by hand").enabled


def test_a_function_of_another_queue_is_left_to_its_cluster(
    app: Callable[[str], Declarations],
) -> None:
    declared = app("@periodic(cron='* * * * *')\n@task(cluster='other')\ndef beat(): pass")

    synchronise("default", declared)
    assert not Schedule.objects.exists()
    synchronise("other", declared)
    assert Schedule.objects.get().cluster == "other"


def test_a_module_that_cannot_be_imported_disables_nothing(
    app: Callable[[str], Declarations], caplog: pytest.LogCaptureFixture
) -> None:
    synchronise("default", app("@periodic(every=60)\ndef beat(): pass"))

    broken = app("raise SystemExit('on purpose')")
    synchronise("default", broken)

    assert not broken.is_complete
    assert Schedule.objects.get().enabled
    assert "newcomer.tasks cannot be imported" in caplog.text


def test_namesakes_are_told_of(
    app: Callable[[str], Declarations], caplog: pytest.LogCaptureFixture
) -> None:
    text = "@periodic(every={0}, name='beat')\ndef beat{0}(): pass\n"

    declared = app(text.format(1) + text.format(2))

    assert declared.entries["beat"]["seconds"] == 1
    assert "Two schedules beside functions have the name beat" in caplog.text


def test_code_cannot_change_what_is_declared(app: Callable[[str], Declarations]) -> None:
    synchronise("default", app("@periodic(every=60, name='beat')\ndef beat(): pass"))

    with pytest.raises(Exception, match="declared .* beside its function"):
        schedule("math.sqrt", 4, name="beat", minutes=5, update_by_name=True)


@pytest.mark.parametrize("every", [0, -1, 0.5, True, timedelta(milliseconds=1500)])
def test_every_is_whole_seconds(every: Any) -> None:
    with pytest.raises(ValueError, match="every is .* give whole seconds"):
        periodic(every=every)


def test_every_or_cron_is_needed() -> None:
    with pytest.raises(TypeError, match="every or cron"):
        periodic()
    with pytest.raises(TypeError, match="every or cron"):
        periodic(every=1, cron="* * * * *")


def test_the_function_can_still_be_called_and_sent() -> None:
    again = periodic(every=5)(send_receipt)

    assert again(1) == "1 EUR"
    assert again.task_options == send_receipt.task_options
    assert not send_receipt.periods
