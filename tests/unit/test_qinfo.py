"""`manage.py qinfo`: what an operator sees, and what nobody should see."""

import datetime
import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings
from django.utils import timezone

from django_q.brokers import get_broker
from django_q.brokers.estimate import Estimate
from django_q.masks import masked
from django_q.models import Schedule
from django_q.results.database import DatabaseStore
from tests.unit.heartbeats import start_cluster
from tests.unit.rows import make_row


@pytest.fixture
def site(database: str, q_cluster: Any) -> str:
    """A site whose queue and heartbeats are in the database."""
    q_cluster(orm=database)
    return database


def qinfo(*arguments: str) -> str:
    out = io.StringIO()
    call_command("qinfo", *arguments, stdout=out)
    return out.getvalue()


def test_the_screen_shows_clusters_queues_tasks_and_schedules(site: str) -> None:
    stat = start_cluster(reincarnations=2)
    get_broker().enqueue("sealed")
    recent = timezone.now() - datetime.timedelta(seconds=1.5)
    rows = [make_row(started=recent, stopped=timezone.now()), make_row(), make_row(success=False)]
    DatabaseStore().save(rows)
    Schedule.objects.create(func="a.b", next_run=timezone.now() + datetime.timedelta(hours=2))

    lines = [" ".join(line.split()) for line in qinfo().splitlines()]

    assert any(
        line.startswith(stat.name[:18]) and line.endswith("4711 1/2 3h 20m Working")
        for line in lines
    )
    assert "2 workers were replaced since the start." in lines
    assert "nightly report ..ild_the_whole_nightly_report 12 4 min" in lines
    assert "default 1 0 1" in lines
    assert "Successful 2" in lines
    assert "Failed 1" in lines
    assert "Successful in the last 24 hours 1" in lines
    assert "Their mean duration 1.5 s" in lines
    assert "Active 1" in lines
    assert "Next in 1h 59m" in lines


def test_a_project_without_time_zones_sees_its_clusters_and_what_runs(site: str) -> None:
    with override_settings(USE_TZ=False, TIME_ZONE="Asia/Tokyo"):
        start_cluster()

        lines = [" ".join(line.split()) for line in qinfo().splitlines()]

    assert any(line.endswith("4711 1/2 3h 20m Working") for line in lines)
    assert "nightly report ..ild_the_whole_nightly_report 12 4 min" in lines


def test_a_long_queue_is_told_as_an_estimate(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(get_broker()), "queue_size", lambda self: Estimate(1_030_000))

    lines = [" ".join(line.split()) for line in qinfo().splitlines()]
    (queue,) = json.loads(qinfo("--json"))["queues"]

    assert "default ~1,030,000 0 0" in lines
    assert (queue["waiting"], queue["is_estimate"]) == (1_030_000, True)


def test_the_screen_fits_into_eighty_columns_and_is_plain_in_a_pipe(site: str) -> None:
    long = "a-name-that-is-much-longer-than-any-column-" * 2
    start_cluster(queue=long, host=long, name=long)
    Schedule.objects.create(name=long, func="a.b", cluster=long, next_run=timezone.now())

    text = qinfo()

    assert max(map(len, text.splitlines())) <= 80
    assert text.isascii()
    assert "\x1b" not in text


def test_without_a_cluster_it_says_how_to_start_one(site: str) -> None:
    assert "No cluster is running. Start one: python manage.py qcluster" in qinfo()


def test_a_queue_that_nobody_serves_is_told(site: str) -> None:
    start_cluster()
    Schedule.objects.create(func="a.b", cluster="reports", next_run=timezone.now())

    assert "No cluster serves the queue reports." in qinfo()


def test_a_schedule_that_is_overdue_is_told(site: str) -> None:
    due = timezone.now() - datetime.timedelta(minutes=5)
    Schedule.objects.create(name="backup", func="a.b", next_run=due)
    Schedule.objects.create(name="done", func="a.b", next_run=due, repeats=0)

    text = qinfo()

    assert "backup is overdue for 5 min." in text
    assert "done is" not in text


def test_broken_and_paused_schedules_are_told(site: str) -> None:
    Schedule.objects.create(name="mail", func="a.b", enabled=False, error="no such function")
    Schedule.objects.create(name="later", func="a.b", enabled=False)

    lines = [" ".join(line.split()) for line in qinfo().splitlines()]

    assert "mail is broken: no such function" in lines
    assert "Paused 1" in lines
    assert "Broken 1" in lines
    assert "Active 0" in lines


def test_json_has_all_figures(site: str) -> None:
    stat = start_cluster()

    figures = json.loads(qinfo("--json"))

    assert figures["clusters"][0]["cluster_id"] == str(stat.cluster_id)
    assert figures["clusters"][0]["workers"] == [12, 13]
    assert figures["clusters"][0]["worker_states"][0]["task_name"] == "nightly report"
    running = figures["running"][0]
    assert (running["name"], running["worker"]) == ("nightly report", f"{stat.host}:12")
    empty = {"name": "default", "waiting": 0, "leased": 0, "clusters": 1, "is_estimate": False}
    assert figures["queues"] == [empty]
    assert figures["tasks"]["successes"] == 0


def test_ids_can_be_had_alone(site: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert qinfo("--ids") == ""
    stat = start_cluster()

    assert qinfo("--ids") == f"{stat.cluster_id}\n"
    assert json.loads(qinfo("--ids", "--json")) == [str(stat.cluster_id)]


def test_the_settings_are_shown_without_secrets(q_cluster: Any) -> None:
    q_cluster(redis="redis://user:hush@server:6379/0", workers=3, iron_mq={"token": "hush"})

    text = qinfo("--config")

    assert "hush" not in text
    assert "redis://***@server:6379/0" in text
    assert "* workers " in text
    assert json.loads(qinfo("--config", "--json"))["iron_mq"] == {"token": "***"}


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("redis", "redis://:p@ss@host/0", "redis://***@host/0"),
        ("redis", "redis://host/0?password=x&db=1", "redis://host/0?password=***&db=1"),
        ("redis", {"password": "x", "port": 1}, {"password": "***", "port": 1}),
        ("sqs", {"aws_secret_access_key": "x"}, {"aws_secret_access_key": "***"}),
        ("disque_auth", "x", "***"),
        ("disque_auth", None, None),
        ("disque_nodes", ["h:1", "x://:p@h:2"], ["h:1", "x://***@h:2"]),
        ("error_reporter", {"sentry": {"dsn": "https://x@y"}}, {"sentry": {"dsn": "***"}}),
        ("password", 1234, "***"),
        ("auth", {"user": "x"}, "***"),
        ("workers", 4, 4),
        ("sync", False, False),
    ],
)  # fmt: skip
def test_a_secret_is_masked_wherever_it_stands(name: str, value: Any, shown: Any) -> None:
    assert masked(value, name) == shown


def test_a_broker_that_is_away_is_an_error_that_names_it(database: str, q_cluster: Any) -> None:
    q_cluster(redis="redis://127.0.0.1:1/0")

    with pytest.raises(CommandError, match="127.0.0.1:1"):
        qinfo()
    with pytest.raises(CommandError, match="127.0.0.1:1"):
        qinfo("--ids")
