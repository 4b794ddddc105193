"""Stopping is bounded: what waits is given back at once, what runs has `shutdown_timeout`."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_q.brokers import get_broker
from django_q.models import Ledger, Task
from django_q.tasks import async_task, async_tasks
from tests.cluster.ground import (
    AIR,
    RETRY,
    every_start_method,
    on,
    on_all_when_long,
    stat_of,
    wait_empty,
    wait_task,
)
from tests.cluster.trace import Trace
from tests.processes import ClusterProcess
from tests.waiting import wait_until

Start = Callable[..., Any]


def begin(trace: Trace, tasks: int, seconds: float) -> list[str]:
    """Send slow tasks and wait until two of them run."""
    arguments = [(trace.path, n, seconds) for n in range(tasks)]
    ids = async_tasks("tests.site.tasks.record", arguments)
    wait_until(lambda: len(trace.started()) >= 2, what="two starts")
    return ids


@on("redis", "postgres", "sqlite")
def test_running_tasks_end_and_waiting_ones_are_visible_at_once(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace, tmp_path: Path
) -> None:
    q_cluster(**place, workers=2, retry=RETRY, save_limit=0)
    gate = tmp_path / "gate"
    first: ClusterProcess = cluster()
    # Quick ones before, so that the workers have leased ahead.
    async_tasks("tests.site.tasks.record", [(trace.path, f"quick{n}") for n in range(100)])
    async_tasks("tests.site.tasks.hold", [(trace.path, n, str(gate)) for n in range(30)])
    trace.wait_ends(100)
    wait_until(lambda: trace.started().total() == 102, what="two starts")

    first.popen.send_signal(signal.SIGTERM)
    wait_until(lambda: get_broker().queue_size() == 28, what="what waited")
    gate.touch()
    assert first.wait(1 + AIR) == 0

    started, ended = trace.started(), trace.ended()
    assert started == ended
    assert set(started.values()) == {1}
    broker = get_broker()
    assert broker.lock_size() == 0
    assert broker.queue_size() == 28
    assert Task.objects.filter(success=True).count() == len(ended) == 102
    assert not first.family()


@on_all_when_long("redis", "postgres")
def test_a_task_longer_than_shutdown_timeout_is_given_back_uncharged(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace, tmp_path: Path
) -> None:
    q_cluster(**place, workers=1, retry=RETRY, shutdown_timeout=1)
    gate = tmp_path / "gate"
    task_id = async_task("tests.site.tasks.hold", trace.path, "a", str(gate))
    first: ClusterProcess = cluster()
    trace.wait_start("a")
    second: ClusterProcess = cluster()

    began = time.monotonic()
    assert first.stop() == 0
    assert time.monotonic() - began < 1 + 1 + AIR

    trace.wait_start("a", 2)
    assert not Ledger.objects.exists()
    gate.touch()
    assert wait_task(task_id).success
    assert "goes back to the queue" in first.log()
    assert second.stop() == 0


@pytest.mark.parametrize("task", ["ignore_stop", "block_signals", "hold_interpreter"])
def test_a_task_that_is_deaf_holds_nobody_up(
    task: str, database: str, redis_url: str, q_cluster: Start, cluster: Start
) -> None:
    q_cluster(redis=redis_url, workers=2, retry=RETRY, shutdown_timeout=1)
    started: ClusterProcess = cluster()
    arguments = (600,) if task == "ignore_stop" else ()
    async_task(f"tests.site.tasks.{task}", *arguments)
    wait_until(lambda: str(stat_of(started).status) == "Working")
    others = async_tasks("tests.site.tasks.add", [(n, n) for n in range(10)])
    wait_until(lambda: Task.objects.filter(pk__in=others).count() == 10)

    began = time.monotonic()
    assert started.stop() == 0

    assert time.monotonic() - began < 1 + 1 + AIR
    assert not started.family()
    assert get_broker().queue_size() == 1


def test_a_worker_made_deaf_by_a_task_stops_without_being_killed(
    database: str, redis_url: str, q_cluster: Start, cluster: Start
) -> None:
    q_cluster(redis=redis_url, workers=1, shutdown_timeout=20)
    started: ClusterProcess = cluster()
    assert wait_task(async_task("tests.site.tasks.ignore_stop", 0))

    began = time.monotonic()
    assert started.stop() == 0

    assert time.monotonic() - began < 2 + AIR


@on_all_when_long("redis", "postgres")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("whom", ["group", "everybody"])
def test_a_signal_to_all_at_once_stops_in_order(
    whom: str,
    number: int,
    place: dict[str, Any],
    q_cluster: Start,
    cluster: Start,
    trace: Trace,
) -> None:
    """A terminal signals its group; an init system may signal every process of the service."""
    q_cluster(**place, workers=2, retry=RETRY, save_limit=0, shutdown_timeout=1)
    started: ClusterProcess = cluster()
    begin(trace, 5, 600)

    began = time.monotonic()
    if whom == "group":
        started.signal_group(number)
    else:
        for process in started.family():
            process.send_signal(number)
    assert started.wait() == 0

    assert time.monotonic() - began < 2 + AIR
    assert get_broker().queue_size() == 5
    assert get_broker().lock_size() == 0
    assert not started.family()
    assert "Traceback" not in started.log()


def test_a_second_signal_means_now(
    database: str, redis_url: str, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(redis=redis_url, workers=2, retry=RETRY, shutdown_timeout=600)
    started: ClusterProcess = cluster()
    begin(trace, 5, 600)
    started.popen.send_signal(signal.SIGINT)
    started.wait_log("Stopping")

    began = time.monotonic()
    assert started.stop(signal.SIGINT) == 0

    assert time.monotonic() - began < 1 + AIR
    assert get_broker().queue_size() == 5


@pytest.mark.parametrize(
    ("method", "delay"),
    [("fork", 0.0), ("fork", 0.1), ("fork", 0.3), ("spawn", 0.6)],
)
def test_a_signal_while_it_starts_leaves_nothing(
    method: str, delay: float, database: str, redis_url: str, q_cluster: Start, cluster: Start
) -> None:
    q_cluster(redis=redis_url, workers=4, start_method=method)
    started: ClusterProcess = cluster(wait=False)
    started.wait_log("starting")

    time.sleep(delay)  # any moment of the start, by design
    code = started.stop(limit=10)

    # Before its handlers stand, Python's and the system's own end it.
    assert code in (0, -signal.SIGTERM)
    wait_until(lambda: not started.family(), what="the end of the children")
    assert "died while it started" not in started.log()


def test_a_housekeeper_killed_during_the_stop_is_replaced(
    database: str, redis_url: str, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(redis=redis_url, workers=2, retry=RETRY, shutdown_timeout=1.5)
    started: ClusterProcess = cluster()
    housekeeper = stat_of(started).housekeeper
    begin(trace, 5, 600)

    started.popen.send_signal(signal.SIGTERM)
    started.wait_log("Stopping")
    os.kill(housekeeper, signal.SIGKILL)

    assert started.wait() == 0
    assert get_broker().queue_size() == 5
    assert get_broker().lock_size() == 0


def test_workers_that_leave_at_a_stop_are_not_counted_as_replaced(
    database: str, redis_url: str, q_cluster: Start, cluster: Start
) -> None:
    q_cluster(redis=redis_url, workers=2)
    started: ClusterProcess = cluster()
    stat_of(started)

    assert started.stop() == 0

    last = stat_of(started)
    assert (str(last.status), last.reincarnations) == ("Stopped", 0)


@every_start_method
def test_what_was_done_before_the_stop_is_saved(
    database: str, redis_url: str, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    """In the middle of much quick work, again and again."""
    q_cluster(redis=redis_url, workers=2, retry=RETRY, save_limit=0)
    count = 4000
    async_tasks("tests.site.tasks.record", [(trace.path, n, 0.0005) for n in range(count)])

    for part in (1, 2, 3):
        started = cluster()
        trace.wait_ends(part * count // 5)
        assert started.stop() == 0
        done = len(trace.ended())
        assert Task.objects.filter(success=True).count() == done
        assert (get_broker().queue_size(), get_broker().lock_size()) == (count - done, 0)

    assert set(trace.started().values()) == {1}


def test_stop_during_a_hook_lets_it_end(
    database: str, redis_url: str, q_cluster: Start, cluster: Start, hooks_file: Path
) -> None:
    q_cluster(redis=redis_url, workers=1)
    started: ClusterProcess = cluster()
    task_id = async_task("tests.site.tasks.add", 1, 2, hook="tests.site.odd.slow_hook")
    wait_task(task_id)

    assert started.stop() == 0

    assert hooks_file.read_text().startswith("hook ")
    wait_empty()
