"""The rows of tasks under way, and the wishes to cancel, on each database; what a clerk adds."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from django_q.brokers import Lease
from django_q.cluster import tracker as tracking_clerk
from django_q.cluster.tracker import Tracker
from django_q.models import Cancellation, Delayed, Task, Tracked
from django_q.package import Follower, TaskPackage, build_package
from django_q.recorder import Record
from django_q.results import cancellations, tracking, waiting
from django_q.results.tracking import Running
from django_q.run import Progress, make_progress
from django_q.tasks import CancelAnswer, cancel, task_status
from django_q.tasks import Task as Result
from tests.site import databases
from tests.unit.rows import make_row

every_database = pytest.mark.parametrize("database", databases.ALIASES, indirect=True)


def make_package(**options: Any) -> TaskPackage:
    return build_package("tests.site.tasks.noop", (1,), {}, options)


def make_running(id: str, **values: Any) -> Running:
    now = timezone.now()
    common: dict[str, Any] = {"name": "n", "func": "f.g", "group": None, "queue": "q"}
    common |= {"attempt": 1, "enqueued": now, "started": now, "worker": "host:1"}
    return Running(id=id, **common | {"is_tracked": False, "progress": None} | values)


def states() -> dict[str, str]:
    return dict(Tracked.objects.values_list("pk", "state"))


# The table.


@every_database
def test_a_clerk_makes_the_rows_that_no_producer_made(database: str) -> None:
    package = make_package(group="g")
    waiting.keep([waiting.row_of(package, "q")])
    ours = make_running(package["id"], is_tracked=True, attempt=2)

    for _ in range(2):
        tracking.write([make_running("a", progress=Progress(1, 4, "text")), ours])
        # One whose producer's transaction is open has no row to be seen.
        tracking.write([make_running("b", is_tracked=True)])

    assert states() == {"a": "running", package["id"]: "running"}
    made, kept = Tracked.objects.get(pk="a"), Tracked.objects.get(pk=package["id"])
    assert (made.done, made.total, made.text, made.args) == (1, 4, "text", None)
    assert (kept.group, kept.attempt, kept.worker) == ("g", 2, "host:1")
    assert kept.args is not None


@every_database
def test_rows_wait_for_another_run_and_go(database: str) -> None:
    tracking.write([make_running("a", progress=Progress(1)), make_running("b"), make_running("c")])

    for _ in range(2):
        tracking.reschedule([("a", 60.0, 3), ("b", 0.0, None)])
        tracking.untrack([("c",), ("unknown",)])

    assert states() == {"a": "scheduled", "b": "queued"}
    row = Tracked.objects.get(pk="a")
    assert (row.attempt, row.worker, row.started, row.done) == (3, None, None, None)
    assert row.run_at is not None
    assert timedelta(seconds=50) < row.run_at - timezone.now() <= timedelta(seconds=60)


@every_database
def test_a_later_delivery_is_not_what_the_sender_said(database: str) -> None:
    said = timezone.now() + timedelta(seconds=1000)
    for package in (make_package(), make_package(run_at=said)):
        waiting.keep([waiting.row_of(package, "default")])

        tracking.reschedule([(package["id"], 60.0, None)])

        row = Tracked.objects.get(pk=package["id"])
        assert row.run_at is not None and row.run_at < said
        assert tracking.first_run_at(row) == package.get("run_at")


@every_database
def test_after_a_death_a_task_waits_again(database: str) -> None:
    package = make_package()
    waiting.keep([waiting.row_of(package, "q")])
    tracking.write([make_running(id) for id in ("a", "b")])
    tracking.write([make_running(package["id"], is_tracked=True)])

    tracking.requeue("a", is_known=True)
    tracking.requeue("b", is_known=False)
    tracking.requeue(package["id"], is_known=False)

    assert states() == {"a": "queued", package["id"]: "queued"}


@every_database
def test_old_rows_go(database: str) -> None:
    now = timezone.now()
    tracking.write([make_running(id) for id in ("new", "old", "later", "over")])
    Tracked.objects.update(state="queued")
    Tracked.objects.exclude(pk="new").update(seen=now - timedelta(days=20))
    Tracked.objects.filter(pk="later").update(run_at=now + timedelta(days=20))
    Tracked.objects.filter(pk="over").update(seen=now - timedelta(hours=1))
    make_ended("over")

    tracking.drop_old()

    assert set(states()) == {"new", "later"}


def make_ended(id: str, **values: Any) -> None:
    now = timezone.now()
    common = {"name": "n", "func": "f.g", "started": now, "stopped": now, "success": True}
    Task.objects.create(id=id, **common | values)


@every_database
def test_wishes_are_kept_until_they_are_obeyed_or_old(database: str) -> None:
    soon = timezone.now() + timedelta(days=30)
    Delayed.objects.create(task="a", queue="q", payload="", due=soon)
    newest = cancellations.Newest()
    assert newest.look() == (0, None)

    cancellations.ask(["a", "b"], run_at={"a": soon})
    cancellations.ask(["a"], kill=True)
    cancellations.ask(["a"])

    assert cancellations.wishes() == {"a": True, "b": False}
    assert cancellations.wishes() == dict(Cancellation.objects.values_list("task", "kill"))
    count, last = newest.look()
    assert count == Cancellation.objects.count() == 2
    cancellations.ask(["b"])
    again, later = newest.look()
    assert again == 2
    assert later == Cancellation.objects.get(pk="b").asked != last
    assert Delayed.objects.get().due <= timezone.now()
    cancellations.uncancel([("b",), ("c",)])
    Cancellation.objects.update(until=timezone.now() - timedelta(seconds=1))
    cancellations.drop_old()
    assert not Cancellation.objects.exists()


@every_database
def test_a_waiting_task_is_cancelled_once(database: str, q_cluster: Callable[..., Any]) -> None:
    q_cluster(orm=database)
    package = make_package(delay=3600)
    waiting.keep([waiting.row_of(package, "q")])
    assert task_status(package["id"]).state == "scheduled"  # type: ignore[union-attr]

    answers = [cancel(package["id"]), cancel(package["id"], kill=True)]

    assert answers == [CancelAnswer.CANCELLED] * 2
    row = Result.objects.get()
    assert (row.status, row.args, row.attempt_count) == ("cancelled", (1,), 0)
    assert Cancellation.objects.get().kill
    assert task_status(package["id"]).state == "cancelled"  # type: ignore[union-attr]


def test_what_is_no_id_is_an_error(database: str) -> None:
    with pytest.raises(ValueError, match="give what async_task gave"):
        cancel("four-words-that-are-a-name-and-no-id-at-all")


def test_progress_takes_what_every_database_stores() -> None:
    assert make_progress(1, None, "a\0b\ud800" + "c" * 300).text == "ab?" + "c" * 196
    for number in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="give finite numbers"):
            make_progress(1, number, "")


# The clerk.


@pytest.fixture
def tracker(database: str, q_cluster: Callable[..., Any], monkeypatch: Any) -> Tracker:
    q_cluster(orm="default")
    monkeypatch.setattr(tracking_clerk, "_LATE", 0.0)
    return Tracker("q")


def begin(tracker: Tracker, **options: Any) -> Any:
    run = tracker.begin(make_package(**options))
    tracker.look(time.monotonic() + 2, 0)
    return run


@pytest.mark.parametrize(
    ("pause", "is_counted", "state"),
    [(1.0, True, "queued"), (1.0, False, None), (0.0, True, "running")],
)
def test_a_run_that_did_not_count_is_forgotten(
    tracker: Tracker, pause: float, is_counted: bool, state: str | None
) -> None:
    run = begin(tracker)
    lease = Lease("r", "")
    lease.pause, lease.is_counted = pause, is_counted

    tracker.void(run, lease)
    tracker.look(time.monotonic() + 3, 0)

    assert states() == ({run.id: state} if state else {})
    record = Record(make_row(id=run.id))
    assert tracker.complete(record) is record


def test_a_row_that_only_the_clerk_knows_goes_with_the_outcome(tracker: Tracker) -> None:
    run = begin(tracker)
    tracker.end(run)
    record = Record(make_row(id=run.id))

    done = tracker.complete(record)

    assert states() == {run.id: "running"}
    assert done.entries == (("untrack", (run.id,)),)
    assert tracker.complete(record) == done  # it is tried again
    tracker.settled(done)
    assert tracker.complete(record) is record


def test_a_retried_task_keeps_its_row(tracker: Tracker) -> None:
    run = begin(tracker)
    tracker.end(run)
    again = Record(None, followers=(Follower("q", "", 5.0, task_id=run.id),))

    assert tracker.complete(again).entries == (("reschedule", (run.id, 5.0, None)),)


def test_a_wish_goes_with_the_outcome(tracker: Tracker) -> None:
    heard: list[str] = []
    tracker.interrupt = heard.append
    run = tracker.begin(make_package())
    cancellations.ask([run.id, "other"])

    for _ in range(3):
        tracker.look(time.monotonic(), 7)
    tracker.end(run)
    done = tracker.complete(Record(make_row(id=run.id)))
    tracker.settled(done)

    assert heard == [run.id]
    assert run.is_cancelled
    assert ("uncancel", (run.id,)) in done.entries
    assert tracker.wishes == {"other": False}
    tracker.look(time.monotonic(), 0)
    assert not tracker.wishes


@pytest.mark.parametrize("database", databases.ALIASES, indirect=True)
def test_a_row_that_is_refused_holds_up_no_other(
    database: str, tracker: Tracker, caplog: pytest.LogCaptureFixture
) -> None:
    runs = [tracker.begin(make_package()) for _ in range(3)]
    runs[1].package["attempt"] = -1 if database == "default" else 10**12
    now = time.monotonic() + 2

    tracker.look(now, 0)

    assert states() == {runs[0].id: "running", runs[2].id: "running"}
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert f"[{runs[1].id}] is not followed" in caplog.text
    for run in runs:
        run.progress = Progress(1, 2)
    tracker.look(now + 2, 0)
    assert set(Tracked.objects.values_list("done", flat=True)) == {1}
    assert len([one for one in caplog.records if one.levelname == "ERROR"]) == 1


def test_progress_is_written_once_a_second(tracker: Tracker) -> None:
    run = begin(tracker)
    now = time.monotonic() + 2

    run.progress = Progress(1, 2)
    tracker.look(now + 0.1, 0)
    early = Tracked.objects.get().done
    tracker.look(now + 1.5, 0)

    assert (early, Tracked.objects.get().done) == (None, 1)
