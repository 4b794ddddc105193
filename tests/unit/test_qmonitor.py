"""`manage.py qmonitor`: what it sees, how it draws it, and what keys do."""

import datetime
import io
import json
import re
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from django_q.brokers import get_broker
from django_q.exceptions import BrokerUnavailable
from django_q.management.commands.qmonitor import _Monitor
from django_q.models import Schedule
from django_q.monitor import terminal, watch
from django_q.monitor.paint import Paint
from django_q.monitor.text import text_width
from django_q.monitor.watch import Meter, Sight, Watch
from django_q.monitor.watch_screen import View, screen_lines, snapshot_lines
from django_q.status import Stat, WorkerState
from tests.unit.heartbeats import FUNC, start_cluster


@pytest.fixture
def site(database: str, q_cluster: Any) -> str:
    """A site whose queue and heartbeats are in the database."""
    q_cluster(orm=database)
    return database


def qmonitor(*arguments: str) -> str:
    out = io.StringIO()
    call_command("qmonitor", *arguments, stdout=out)
    return out.getvalue()


def words(lines: Any) -> list[str]:
    return [" ".join(line.split()) for line in lines]


def test_a_snapshot_has_every_worker(site: str) -> None:
    stat = start_cluster()
    get_broker().enqueue("sealed")

    lines = words(qmonitor().splitlines())

    assert f"{stat.name} {stat.host} 4711" in lines
    assert "Queue default, Working, up 3h 20m, 1/2 workers busy" in lines
    assert "12 busy nightly report ..hole_nightly_report 4 min 3" in lines
    assert "13 idle 0" in lines
    assert "default 1 0 1" in lines
    assert "Tasks: 0 successful, 0 failed" in lines


def test_a_snapshot_fits_into_eighty_columns_and_is_plain_in_a_pipe(site: str) -> None:
    long = "a-name-that-is-much-longer-than-any-column-" * 2
    start_cluster(queue=long, host=long, name=long)

    text = qmonitor("--run-once")

    assert max(map(len, text.splitlines())) <= 80
    assert text.isascii()
    assert "\x1b" not in text


def test_without_a_cluster_it_says_how_to_start_one(site: str) -> None:
    assert "No cluster is running. Start one: python manage.py qcluster" in qmonitor()


def test_json_has_all_figures(site: str) -> None:
    stat = start_cluster()

    figures = json.loads(qmonitor("--json"))

    assert figures["clusters"][0]["cluster_id"] == str(stat.cluster_id)
    assert figures["clusters"][0]["status"] == "Working"
    assert figures["clusters"][0]["worker_states"][0]["func"] == FUNC
    (queue,) = figures["queues"]
    assert queue == {
        "name": "default",
        "waiting": 0,
        "leased": 0,
        "clusters": 1,
        "is_estimate": False,
    }
    assert figures["tasks"]["failures"] == 0
    assert figures["schedules"]["active"] == 0


def test_a_broker_that_is_away_is_an_error_that_names_it(database: str, q_cluster: Any) -> None:
    q_cluster(redis="redis://127.0.0.1:1/0")

    with pytest.raises(CommandError, match="127.0.0.1:1"):
        qmonitor()


# The live screen.


def draw(sight: Sight, **view: Any) -> list[str]:
    return screen_lines(sight, View(**view), Paint())


@pytest.mark.parametrize("size", [(80, 24), (120, 50), (60, 12), (33, 7)])
def test_a_screen_fits_its_terminal(site: str, size: tuple[int, int]) -> None:
    long = "a-name-that-is-much-longer-than-any-column-" * 2
    for number in range(10):
        start_cluster(queue=f"{long}{number}", host=long, name=long)
    Schedule.objects.create(func="a.b", next_run=timezone.now() + datetime.timedelta(hours=2))
    seen = Watch().look()

    lines = draw(seen, width=size[0], height=size[1])

    assert len(lines) == size[1]
    assert max(map(text_width, lines)) <= size[0]
    assert "q Quit" in lines[-1]


def test_a_screen_shows_the_workers_of_the_chosen_cluster(site: str) -> None:
    worker = WorkerState(pid=99, slot=1, state="busy", task_name="mine", func="f.g", done=1)
    start_cluster("a")
    other = start_cluster("b", worker_states=[worker])
    seen = Watch().look()

    lines = draw(seen, chosen=str(other.cluster_id))

    assert f"Workers of {other.name}" in words(lines)
    assert any("99 busy mine f.g" in line for line in words(lines))
    assert not any("nightly report" in line for line in lines)


def test_more_workers_than_lines_are_told(site: str) -> None:
    workers = [WorkerState(pid=n, slot=n, state="idle", done=0) for n in range(1, 50)]
    start_cluster(worker_states=workers)

    lines = words(draw(Watch().look(), height=24))

    [more] = [line for line in lines if line.endswith("more")]
    shown = sum(bool(re.match(r"\d+ idle", line)) for line in lines)
    assert more == f"and {49 - shown} more"


def test_keys_choose_hold_and_quit(site: str) -> None:
    first, second = sorted((start_cluster("a"), start_cluster("b")), key=lambda stat: stat.queue)
    monitor = _Monitor(Watch())

    def title() -> str:
        lines = monitor.draw(80, 24, Paint(), True)
        return next(line for line in lines if line.startswith("Workers of"))

    assert title() == f"Workers of {first.name}"
    for key, stat in (("KEY_DOWN", second), ("j", second), ("KEY_UP", first), ("k", first)):
        assert monitor.press(key)
        assert title() == f"Workers of {stat.name}"
    assert monitor.press("p")
    start_cluster("0")
    assert title() == f"Workers of {first.name}"
    assert "HELD" in monitor.draw(80, 24, Paint(), True)[-1]
    assert monitor.press("x")
    assert not monitor.press("q")


def test_trouble_is_shown_and_what_was_seen_before_goes_on(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_cluster()
    watching = Watch()
    assert not watching.look().problem

    def fail(broker: Any = None) -> list[Stat]:
        raise BrokerUnavailable("The broker is away.")

    with monkeypatch.context() as patch:
        patch.setattr(watch.Stat, "get_all", fail)
        lines = draw(watching.look())
    assert any("The broker is away." in line for line in lines)
    assert "No cluster" not in "".join(lines)
    assert len(watching.look().clusters) == 1


def test_what_is_dear_is_asked_seldom(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(watch, "tasks", lambda now: asked.append(now))
    watching = Watch()

    for _ in range(5):
        watching.look()

    assert len(asked) == 1


def beat(stat: Stat, seconds: int, *done: int, first_pid: int = 1) -> Stat:
    stat.timestamp = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    stat.timestamp += datetime.timedelta(seconds=seconds)
    stat.worker_states = [
        WorkerState(pid=pid, done=number) for pid, number in enumerate(done, first_pid)
    ]
    return stat


def test_tasks_a_second_are_counted_over_heartbeats() -> None:
    stat, meter = Stat("id", 1), Meter()

    assert meter.read([beat(stat, 0, 100, 50)]) == {"id": None}
    assert meter.read([beat(stat, 2, 110, 60)]) == {"id": 10.0}
    # The same heartbeat again is nothing new.
    assert meter.read([stat]) == {"id": 10.0}
    # A worker that took the place of another began with nothing.
    assert meter.read([beat(stat, 4, 60, 5, first_pid=2)]) == {"id": 6.25}
    assert list(meter.history) == [10.0, 6.25]
    assert meter.read([]) == {}


def test_bars_show_the_history_in_any_terminal(site: str) -> None:
    start_cluster()
    seen = Sight(timezone.now(), "p", "b", history=[0.0, 5.0, 10.0])

    assert draw(seen)[1].endswith("▁▅█")
    assert draw(seen, has_unicode=False)[1].endswith("_=#")


def test_without_blessed_a_snapshot_says_what_is_missing(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(terminal, "blessed", None)
    out, errors = Terminal(), io.StringIO()
    call_command("qmonitor", stdout=out, stderr=errors, no_color=True)

    assert "Queues" in out.getvalue()
    assert 'pip install "django-q3[monitor]"' in errors.getvalue()


def test_a_snapshot_of_trouble_alone_has_no_figures() -> None:
    seen = Sight(timezone.now(), "p", "b", problem="away")

    assert "away" in list(snapshot_lines(seen, Paint()))
