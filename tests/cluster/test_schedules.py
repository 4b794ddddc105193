"""Schedules of whole clusters: every due time has its task, at its time, and only once."""

import itertools
import os
import random
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest
from django.utils import timezone

from django_q.brokers import get_broker
from django_q.models import Schedule, Task
from django_q.scheduler import Scheduler
from django_q.tasks import schedule
from tests.cluster.ground import (
    LONG,
    every_start_method,
    on,
    on_all_when_long,
    stat_of,
    wait_empty,
    wait_rows,
)
from tests.cluster.trace import Trace
from tests.processes import READY, ClusterProcess
from tests.waiting import wait_until

RECORD = "tests.site.tasks.record"
#: How long schedules run while processes are killed, and how many there are.
TIME, SCHEDULES = (60, 20) if LONG else (10, 5)
SECOND = timedelta(seconds=1)

Start = Callable[..., Any]


def every_second(folder: Path, count: int = 1) -> list[Trace]:
    """Plan so many tasks for each second; each leaves its due times in a trace of its own."""
    start = timezone.now().replace(microsecond=0) + 2 * SECOND
    values = {"schedule_type": "S", "seconds": 1, "next_run": start}
    traces = [Trace(folder / f"trace{number}") for number in range(count)]
    for trace in traces:
        schedule(RECORD, trace.path, intended_date_kwarg="token", **values)
    return traces


def lateness() -> list[timedelta]:
    """How long after its due time each recorded task was enqueued."""
    rows = Task.objects.filter(func=RECORD)
    return [row.enqueued - datetime.fromisoformat(row.result) for row in rows]


def end() -> None:
    """Pause all schedules and wait for what they have sent."""
    Schedule.objects.update(enabled=False)
    wait_empty()


@pytest.mark.alone
@on("postgres", "sqlite", "redis")
def test_d25_schedules_fire_within_a_second_of_their_time(
    place: dict[str, Any], q_cluster: Start, cluster: Start, tmp_path: Path
) -> None:
    q_cluster(**place, workers=1, save_limit=0)
    cluster()
    (trace,) = every_second(tmp_path)

    trace.wait_ends(5)

    end()
    assert max(lateness()) < SECOND
    assert min(lateness()) >= timedelta(0)


def disturb(clusters: list[ClusterProcess], start: Start) -> None:
    """Kill a housekeeper, or now and then end a cluster and start another.

    No worker is killed: what that one was running would run twice, and rightly so.
    """
    victim = random.choice(clusters)
    if random.random() < 0.2:
        victim.popen.send_signal(signal.SIGTERM)
        clusters.remove(victim)
        clusters.append(start(wait=False))
        return
    keeper = stat_of(victim).housekeeper if READY.search(victim.log()) else None
    for child in victim.children():
        if child.pid == keeper:
            os.kill(child.pid, signal.SIGKILL)


@on("postgres", "sqlite", "redis", *(["mariadb"] if LONG else []))
def test_two_clusters_and_killed_housekeepers_miss_no_due_time_and_run_none_twice(
    place: dict[str, Any], q_cluster: Start, cluster: Start, tmp_path: Path
) -> None:
    q_cluster(**place, workers=1, save_limit=0, retry=5)
    clusters = [cluster(), cluster()]
    traces = every_second(tmp_path, SCHEDULES)
    stop_at = time.monotonic() + TIME

    while time.monotonic() < stop_at:
        time.sleep(random.uniform(0.3, 0.9))
        disturb(clusters, cluster)
    for trace in traces:
        trace.wait_ends(TIME - 2, 20)

    end()
    for trace in traces:
        times = sorted(map(datetime.fromisoformat, trace.started().elements()))
        assert len(times) >= TIME - 2
        assert {after - before for before, after in itertools.pairwise(times)} == {SECOND}


@pytest.mark.alone
@on("postgres", "sqlite", "redis")
def test_a_thousand_schedules_due_in_one_second_are_enqueued_within_two(
    place: dict[str, Any], q_cluster: Start, cluster: Start
) -> None:
    q_cluster(**place, workers=1, save_limit=0)
    cluster()
    due = timezone.now().replace(microsecond=0) + 3 * SECOND
    Schedule.objects.bulk_create(
        Schedule(func="tests.site.tasks.noop", schedule_type="H", next_run=due) for _ in range(1000)
    )

    wait_rows(1000, 30)

    enqueued = Task.objects.order_by("enqueued").values_list("enqueued", flat=True)
    assert due <= enqueued[0]
    # On a machine that is busy with other things too, as much longer as it has less time for us.
    assert enqueued[999] < due + 2 * SECOND * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert set(Schedule.objects.values_list("next_run", flat=True)) == {due + timedelta(hours=1)}


@on_all_when_long("redis", "postgres", "sqlite")
def test_d7_a_broken_schedule_stops_none_and_repeats_none(
    place: dict[str, Any], q_cluster: Start, cluster: Start
) -> None:
    q_cluster(**place, workers=1, save_limit=0)
    past = timezone.now() - timedelta(minutes=5)
    rows = {"first": "(1,)", "broken": "datetime.now()", "last": "(2,)"}
    for minutes, (name, args) in enumerate(rows.items()):
        next_run = past + timedelta(minutes=minutes)
        Schedule.objects.create(
            name=name, func="math.sqrt", args=args, schedule_type="H", next_run=next_run
        )

    started = cluster()

    wait_rows(2)
    started.wait_log("Schedule broken .* is disabled")
    wait_empty()
    assert sorted(Task.objects.values_list("group", flat=True)) == ["first", "last"]
    assert not Schedule.objects.get(name="broken").enabled
    assert started.log().count("is disabled") == 1


@every_start_method
def test_d8_a_datetime_is_an_argument_like_any_other(
    database: str, q_cluster: Start, cluster: Start
) -> None:
    q_cluster(orm=database, workers=1)
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    schedule("tests.site.tasks.echo", moment, when=moment)

    cluster()

    wait_rows(1)
    assert Task.objects.get().result == ((moment,), {"when": moment})


@pytest.mark.parametrize(("catch_up", "runs"), [(True, 25), (False, 1)])
def test_a_day_without_a_cluster_is_made_up_for_or_passed_over(
    catch_up: bool, runs: int, database: str, q_cluster: Start, cluster: Start
) -> None:
    q_cluster(orm=database, workers=1, save_limit=0, catch_up=catch_up)
    schedule(
        "tests.site.tasks.echo",
        schedule_type="H",
        next_run=timezone.now() - timedelta(days=1),
        intended_date_kwarg="due",
    )

    cluster()

    wait_rows(runs)
    wait_until(lambda: Schedule.objects.filter(next_run__gt=timezone.now()).exists())
    wait_empty()
    results = [task.result for task in Task.objects.all()]
    assert len({kwargs["due"] for _, kwargs in results}) == len(results) == runs


def test_a_task_that_was_enqueued_twice_runs_once(
    database: str,
    redis_url: str,
    q_cluster: Start,
    cluster: Start,
    trace: Trace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The one thing that a killed scheduler leaves behind where the queue is not the database."""
    q_cluster(redis=redis_url, workers=1, scheduler=False)
    started = cluster()
    schedule(RECORD, trace.path, "mine", schedule_type="H")
    broker = get_broker()
    kept = broker.enqueue_many

    def die(tasks: Any, **options: Any) -> NoReturn:
        kept(tasks, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(broker, "enqueue_many", die)
    with pytest.raises(KeyboardInterrupt):
        Scheduler(broker).run_due()
    wait_rows(1)
    monkeypatch.setattr(broker, "enqueue_many", kept)
    assert Scheduler(broker).run_due() == 1

    started.wait_log("was done already")
    wait_empty()
    assert trace.started() == {"mine": 1}


def test_declared_schedules_are_there_when_the_cluster_is(
    database: str, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    declared = {"func": RECORD, "args": [trace.path, "mine"], "seconds": 3600}
    q_cluster(orm=database, workers=1, schedules={"mine": declared, "wrong": {"func": RECORD}})

    started = cluster()

    trace.wait_start("mine")
    started.wait_log("wrong is declared in .*, which cannot be")
    assert Schedule.objects.get().name == "mine"


def test_a_cluster_without_scheduler_runs_none(
    database: str, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(orm=database, workers=1, scheduler=False)
    schedule(RECORD, trace.path, "never")
    cluster()
    time.sleep(1.5)

    assert Schedule.objects.exists()
    assert not trace.started()
