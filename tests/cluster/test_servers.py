"""Servers that go away and come back in the middle: nothing is lost, nothing needs a restart."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections

from django_q.brokers import get_broker
from django_q.models import Ledger, Task
from django_q.tasks import async_task, async_tasks
from tests.cluster.ground import (
    AIR,
    LONG,
    RETRY,
    has_clerk,
    stat_of,
    wait_children,
    wait_empty,
    wait_rows,
    wait_task,
)
from tests.cluster.trace import Trace
from tests.processes import ClusterProcess
from tests.servers import Postgres, Valkey
from tests.waiting import wait_until

#: Tasks of a drain, each of a few milliseconds.
TASKS = 2000
PACE = 0.002
#: Longest pause of a back-off, and some air.
COMES_BACK = 4 + 4

Start = Callable[..., Any]
on_postgres = pytest.mark.parametrize("database", ["postgres"], indirect=True)


@pytest.fixture
def durable() -> Iterator[Valkey]:
    """A Redis server of this test's own, which writes down every command before it answers."""
    server = Valkey("--appendonly", "yes", "--appendfsync", "always").start()
    yield server
    server.stop()


class OwnPostgres:
    """The session's PostgreSQL, for a test that ends it."""

    def __init__(self, server: Postgres) -> None:
        self.kill, self.pause, self.resume = server.kill, server.pause, server.resume
        self._server = server

    def restart(self) -> None:
        """Start it, again if it still runs."""
        self._server.restart()
        # This process has a connection to the one before.
        connections["postgres"].close()


@pytest.fixture
def own_postgres(database: str, postgres: Postgres) -> Iterator[OwnPostgres]:
    """The session's PostgreSQL, which is up again after the test."""
    own = OwnPostgres(postgres)
    yield own
    own.resume()
    try:
        postgres.answers()
    except Exception:
        own.restart()


def send_drain(trace: Trace) -> None:
    async_tasks("tests.site.tasks.record", [(trace.path, n, PACE) for n in range(TASKS)])
    trace.wait_ends(TASKS // 5, 20)


def assert_each_ran_once(trace: Trace) -> None:
    wait_rows(TASKS, RETRY / 2, success=True)
    wait_empty(RETRY / 2)
    assert trace.started() == trace.ended() == {str(n): 1 for n in range(TASKS)}


@pytest.mark.parametrize("how", ["killed", "restarted"])
def test_redis_goes_in_the_middle_of_a_drain(
    how: str, database: str, durable: Valkey, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(redis=durable.url, workers=2, retry=RETRY, save_limit=0)
    started: ClusterProcess = cluster()
    send_drain(trace)

    if how == "killed":
        durable.kill()
        started.wait_log("cannot be reached")
    durable.restart()

    assert_each_ran_once(trace)
    assert started.stop() == 0


@on_postgres
@pytest.mark.parametrize("how", ["killed", "restarted"])
def test_postgresql_goes_in_the_middle_of_a_drain(
    how: str,
    own_postgres: OwnPostgres,
    q_cluster: Start,
    cluster: Start,
    trace: Trace,
) -> None:
    q_cluster(orm="postgres", workers=2, retry=RETRY, save_limit=0)
    started: ClusterProcess = cluster()
    send_drain(trace)

    if how == "killed":
        own_postgres.kill()
        started.wait_log("is not available")
    own_postgres.restart()

    assert_each_ran_once(trace)
    assert started.stop() == 0


@on_postgres
def test_results_wait_for_their_database_and_workers_lease_no_more(
    own_postgres: OwnPostgres, redis_url: str, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(redis=redis_url, workers=2, retry=RETRY, save_limit=0)
    started: ClusterProcess = cluster()
    send_drain(trace)

    own_postgres.kill()
    started.wait_log("Results wait to be saved")
    # Each worker finishes what it holds, and keeps the outcomes.
    wait_until(lambda: _is_calm(trace), 20, pause=0.7, what="workers that wait")
    assert len(trace.ended()) < TASKS
    assert get_broker().queue_size() > 0
    # What has been finished outlives its worker, even now.
    victim = stat_of(started).workers[0]
    os.kill(victim, signal.SIGKILL)
    wait_children(started, 3, without=victim, limit=10)
    own_postgres.restart()

    assert_each_ran_once(trace)
    started.wait_log("Results are saved again")
    assert started.stop() == 0


def _is_calm(trace: Trace) -> bool:
    before = len(trace.ended())
    time.sleep(0.5)
    return len(trace.ended()) == before


@on_postgres
def test_deaths_are_charged_once_the_database_is_back(
    own_postgres: OwnPostgres, redis_url: str, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(redis=redis_url, workers=2, retry=RETRY, save_limit=0)
    started: ClusterProcess = cluster()
    task_id = async_task("tests.site.odd.hold_then_die", trace.path, trace.path + ".gate")
    trace.wait_start("death")

    own_postgres.kill()
    open(trace.path + ".gate", "w").close()
    started.wait_log(r"died \(signal SIGKILL\)")
    started.wait_log("Housekeeper, .* Next try in")
    own_postgres.restart()

    wait_until(lambda: Task.objects.filter(pk=task_id).exists(), 20, what="the failed row")
    assert "3 times; the last time it died of signal SIGKILL" in Task.objects.get().result
    wait_until(lambda: not Ledger.objects.exists(), what="an empty ledger")
    assert len(trace.lines("start")) == 3


@on_postgres
def test_deaths_without_end_while_all_is_away_are_made_good(
    own_postgres: OwnPostgres, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    """The dead cannot be buried, so their places are not free; in the end there are no more."""
    q_cluster(orm="postgres", workers=1, retry=RETRY)
    started: ClusterProcess = cluster()
    keeper = stat_of(started).housekeeper
    own_postgres.kill()

    while "Dead workers are not replaced until" not in started.log():
        for child in started.children():
            # One that dies while it starts holds nothing, so its place is free at once.
            if child.pid != keeper and has_clerk(child):
                child.kill()
        time.sleep(0.05)
    own_postgres.restart()

    task_id = async_task("tests.site.tasks.add", 1, 2)
    assert wait_task(task_id, COMES_BACK).result == 3
    assert started.stop() == 0


@pytest.mark.parametrize("how", ["killed", *(["paused"] if LONG else [])])
def test_a_stop_is_bounded_while_redis_is_away(
    how: str, database: str, durable: Valkey, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(redis=durable.url, workers=2, retry=2, save_limit=0, shutdown_timeout=1)
    started: ClusterProcess = cluster()
    async_tasks("tests.site.tasks.record", [(trace.path, n, 0.3) for n in range(20)])
    trace.wait_ends(2)

    if how == "killed":
        durable.kill()
    else:
        durable.pause()
    began = time.monotonic()
    assert started.stop() == 0

    # shutdown_timeout, a second for the kill, the housekeeper's last four.
    assert time.monotonic() - began < 1 + 1 + 4 + AIR
    assert "Traceback" not in started.log()
    if how == "killed":
        durable.restart()
    durable.resume()
    assert cluster().is_running
    trace.wait_ends(20, 20)
    wait_empty()


@on_postgres
@pytest.mark.parametrize("how", ["killed", *(["paused"] if LONG else [])])
def test_a_stop_is_bounded_while_the_database_is_away(
    how: str, own_postgres: OwnPostgres, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(orm="postgres", workers=2, retry=2, save_limit=0, shutdown_timeout=1)
    started: ClusterProcess = cluster()
    async_tasks("tests.site.tasks.record", [(trace.path, n, 0.3) for n in range(20)])
    trace.wait_ends(2)

    if how == "killed":
        own_postgres.kill()
    else:
        own_postgres.pause()
    began = time.monotonic()
    assert started.stop() == 0

    assert time.monotonic() - began < 1 + 1 + 4 + AIR
    if how == "killed":
        own_postgres.restart()
    own_postgres.resume()
    cluster()
    trace.wait_ends(20, 20)
    wait_empty()
    assert Task.objects.filter(success=True).count() == 20


@on_postgres
def test_an_outcome_that_is_awaited_is_no_reason_to_kill(
    own_postgres: OwnPostgres, redis_url: str, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    """A hook waits for the row; the time that takes is not the task's."""
    q_cluster(redis=redis_url, workers=1, retry=RETRY, timeout=1, grace=0.5)
    started: ClusterProcess = cluster()
    hook = "tests.site.tasks.write_hook"
    task_id = async_task("tests.site.tasks.record", trace.path, "a", 0.5, hook=hook)
    trace.wait_start("a")

    own_postgres.kill()
    started.wait_log("Results wait to be saved")
    time.sleep(3)  # twice the hard limit
    own_postgres.restart()

    wait_until(lambda: Task.objects.filter(pk=task_id, success=True).exists(), COMES_BACK)
    assert trace.started() == {"a": 1}
    assert "hard limit" not in started.log()


@on_postgres
def test_looking_up_the_past_is_no_reason_to_kill(
    own_postgres: OwnPostgres, redis_url: str, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(
        redis=redis_url, workers=1, retry=RETRY, timeout=1, grace=0.5, open_timeout=0.5,
        shutdown_timeout=0.5,
    )  # fmt: skip
    # Delivered twice: the first cluster gives up on it while the database is there.
    broker = get_broker()
    task_id = async_task("tests.site.tasks.record", trace.path, "a")
    (lease,) = broker.lease()
    broker.release([lease.receipt], counted=True)
    own_postgres.kill()

    started: ClusterProcess = cluster()
    started.wait_log("A package .* waits: The ledger cannot be read")
    time.sleep(3)  # three times the hard limit of opening
    own_postgres.restart()

    wait_until(lambda: Task.objects.filter(pk=task_id, success=True).exists(), COMES_BACK)
    assert "hard limit" not in started.log()
    assert "died" not in started.log()
