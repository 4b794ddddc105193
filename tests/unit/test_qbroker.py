"""`manage.py qbroker`: a hand on the queue and on what was rejected."""

import io
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings
from django.utils import timezone

from django_q.brokers import get_broker
from django_q.brokers.estimate import Estimate
from django_q.enqueue import async_task
from django_q.models import Delayed, Rejected, Tracked, UniqueKey
from django_q.results import rejected
from django_q.results.rejected import Rejection
from tests.servers.base import free_port

Configure = Callable[..., Any]


def qbroker(*arguments: str) -> str:
    """Run the command; what it printed."""
    out = io.StringIO()
    call_command("qbroker", *arguments, stdout=out)
    return out.getvalue()


def as_json(*arguments: str) -> Any:
    return json.loads(qbroker(*arguments, "--json"))


@pytest.fixture
def queue(database: str, q_cluster: Configure) -> Any:
    """A queue in the database."""
    q_cluster(orm=database)
    return get_broker()


def reject(reason: str, queue: str = "default") -> int:
    rejected.keep(Rejection(queue, f"payload of {reason}", reason, None))
    return Rejected.objects.get(reason=reason).pk


def test_info_names_the_server(queue: Any) -> None:
    assert as_json("info")["server"].startswith("ORM default (SQLite")
    assert "django_q.brokers.orm.ORM" in qbroker("info")


def test_ping_tells_of_a_server_that_is_away(q_cluster: Configure) -> None:
    port = free_port()
    q_cluster(redis=f"redis://:secret@127.0.0.1:{port}/0")

    with pytest.raises(CommandError, match=f"127.0.0.1:{port}") as caught:
        qbroker("ping")

    assert "secret" not in str(caught.value)


def test_ping_of_a_server_that_is_there(queue: Any) -> None:
    assert as_json("ping") == {"queue": "default", "ping": True}


def test_size_counts_what_waits_and_what_is_leased(queue: Any) -> None:
    queue.enqueue_many(["a", "b", "c"])
    queue.lease(1)

    found = {"queue": "default", "waiting": 2, "leased": 1, "is_estimate": False}
    assert as_json("size") == found


def test_size_says_what_was_not_counted(queue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(queue), "queue_size", lambda self: Estimate(1_030_000))

    assert as_json("size")["is_estimate"] is True
    assert "about 1030000" in qbroker("size")


def test_size_of_another_queue(queue: Any) -> None:
    get_broker("mail").enqueue("a")

    assert as_json("size", "--queue", "mail")["waiting"] == 1


@pytest.mark.parametrize("command", ["purge", "delete"])
def test_what_cannot_be_undone_asks_first(
    queue: Any, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.enqueue("a")
    monkeypatch.setattr("builtins.input", lambda: "no")

    with pytest.raises(CommandError, match="Nothing was changed"):
        qbroker(command)

    assert queue.queue_size() == 1


@pytest.mark.parametrize("command", ["purge", "delete"])
def test_with_yes_it_is_done(queue: Any, command: str) -> None:
    queue.enqueue("a")
    for name in ("default", "other"):
        Delayed.objects.create(task="t", queue=name, payload="later", due=timezone.now())

    qbroker(command, "--yes")

    assert queue.queue_size() == 0
    assert Delayed.objects.get().queue == "other"


@pytest.mark.parametrize("command", ["purge", "delete"])
def test_unique_tasks_that_waited_there_may_be_sent_again(queue: Any, command: str) -> None:
    async_task("math.sqrt", 4, unique="a")
    running = async_task("math.sqrt", 4, unique="runs", track=True)
    Tracked.objects.filter(pk=running).update(state=Tracked.State.RUNNING)
    async_task("math.sqrt", 4, unique="for an hour", unique_until=3600)
    async_task("math.sqrt", 4, unique="elsewhere", cluster="other")

    qbroker(command, "--yes")

    kept = set(UniqueKey.objects.values_list("key", flat=True))
    assert kept == {"runs", "for an hour", "elsewhere"}


@pytest.mark.parametrize("end", [EOFError, KeyboardInterrupt])
def test_nobody_at_the_prompt_is_a_no(
    queue: Any, monkeypatch: pytest.MonkeyPatch, end: type[BaseException]
) -> None:
    def nobody() -> str:
        raise end

    monkeypatch.setattr("builtins.input", nobody)

    with pytest.raises(CommandError, match="Give --yes"):
        qbroker("purge")


def test_rejected_packages_are_listed_and_shown(queue: Any) -> None:
    number = reject("bad signature")
    reject("of another queue", "mail")

    assert [row["reason"] for row in as_json("rejected", "list", "--queue", "default")] == [
        "bad signature"
    ]
    (shown,) = as_json("rejected", "show", str(number))
    assert shown["payload"] == "payload of bad signature"
    assert "payload of bad signature" in qbroker("rejected", "show", str(number))


def test_what_is_shown_in_json_is_one_document(queue: Any) -> None:
    numbers = [reject("one"), reject("two")]

    shown = as_json("rejected", "show", *map(str, numbers))

    assert [row["id"] for row in shown] == numbers
    assert [row["payload"] for row in as_json("rejected", "list")] == [
        "payload of two",
        "payload of one",
    ]


def test_a_long_payload_is_shortened_in_the_list(queue: Any) -> None:
    reject("x" * 100)

    (row,) = as_json("rejected", "list")

    assert row["payload"] == "payload of " + "x" * 29 + "..."


def test_moments_are_told_in_the_time_zone_of_the_site(queue: Any) -> None:
    reject("late")

    with override_settings(TIME_ZONE="Asia/Kolkata"):
        (row,) = as_json("rejected", "list")

    told = datetime.fromisoformat(row["rejected"])
    assert told.utcoffset() == timedelta(hours=5.5)
    assert abs(told - Rejected.objects.get().rejected) < timedelta(seconds=1)


def test_the_question_stays_out_of_an_answer_in_json(
    queue: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    queue.enqueue_many(["a", "b"])
    queue.lease(1)
    monkeypatch.setattr("builtins.input", lambda: "yes")

    assert as_json("purge") == {"queue": "default", "purged": 1}

    told = capsys.readouterr()
    assert told.out == ""
    assert "Take everything out of the queue 'default' (waiting: 1, leased: 1)?" in told.err


def test_missing_tables_are_told_without_a_traceback(
    database: str, q_cluster: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    q_cluster(orm=database)
    monkeypatch.setattr(Rejected._meta, "db_table", "django_q_nowhere")

    with pytest.raises(CommandError, match="django_q_nowhere"):
        qbroker("rejected", "list")


def test_a_rejected_package_goes_back_into_its_queue(queue: Any) -> None:
    number = reject("key was rotated", "mail")

    qbroker("rejected", "requeue", str(number))

    assert get_broker("mail").lease(1)[0].payload == "payload of key was rotated"
    assert not Rejected.objects.exists()


def test_rejected_packages_are_dropped_with_consent(queue: Any) -> None:
    reject("one")
    reject("two")

    assert as_json("rejected", "drop", "--all", "--yes") == {"dropped": 2}
    assert not Rejected.objects.exists()


@pytest.mark.parametrize(("ids", "what"), [((), "Which ones"), (("77",), "no rejected package 77")])
def test_which_ones_must_be_said(queue: Any, ids: tuple[str, ...], what: str) -> None:
    with pytest.raises(CommandError, match=what):
        qbroker("rejected", "requeue", *ids)
