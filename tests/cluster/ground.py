"""What the tests of whole clusters share: where they run, and what they wait for."""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterable
from typing import Any

import psutil
import pytest
from django.db import connections, router

from django_q.brokers import Broker, get_broker
from django_q.models import Task
from django_q.status import Stat
from tests.processes import ClusterProcess
from tests.waiting import LIMIT, wait_until

#: Longer forms of these tests: all brokers, more tasks. `LONG=1 make test ARGS=tests/cluster`.
LONG = os.environ.get("LONG") == "1"
#: Runs the test under each start method; the fixture `cluster` knows.
every_start_method = pytest.mark.parametrize(
    "start_method", ["fork", "forkserver", "spawn"], indirect=True
)
#: Seconds more than promised, on a machine that does other things as well. What is promised is far
#: from what happens otherwise: after RETRY, or never.
AIR = 3
_IS_FORKED = os.environ.get("START_METHOD", "fork") == "fork"
#: Seconds in which a new worker is there: the promise is one. Measured while thirty others wanted
#: two processors: 0.15 at most. One that loads the project itself takes a while.
AT_ONCE = 2 if _IS_FORKED else 20
#: Seconds in which orphans are gone: the promise is two. Measured there: 1.35 at most, and 2.1
#: where they were stuck and had to be killed.
ORPHANS_GONE = 4
#: All waiting may take so many times as long.
_PATIENCE = 1 if _IS_FORKED else 5
#: Seconds until work of a dead machine comes back: what is done far earlier did not wait for it.
RETRY = 60 * _PATIENCE
#: Alias of the database for each place where packages can be.
_ALIASES = {"redis": "default", "sqlite": "default", "postgres": "postgres", "mariadb": "mariadb"}


def on(*places: str) -> pytest.MarkDecorator:
    """Run the test on each of these: "redis", "sqlite", "postgres", "mariadb".

    The test takes the fixtures `database` and `place`; the latter is what goes into `Q_CLUSTER`.
    """
    pairs = [(_ALIASES[name], name) for name in places]
    return pytest.mark.parametrize(("database", "place"), pairs, indirect=True, ids=places)


def on_all_when_long(first: str, *others: str) -> pytest.MarkDecorator:
    """As `on`, for the first place only, unless the longer forms were asked for."""
    return on(first, *others) if LONG else on(first)


def is_empty(broker: Broker) -> bool:
    """Nothing waits and nothing is leased."""
    return broker.queue_size() == 0 and not broker.lock_size()


def wait_empty(limit: float = 2 * LIMIT, queue: str | None = None) -> None:
    """Wait until the queue is empty, leases included."""
    broker = get_broker(queue)
    wait_until(lambda: is_empty(broker), _PATIENCE * limit, what="an empty queue")


def wait_task(task_id: str, limit: float = LIMIT) -> Task:
    """Wait until the row of a task is there."""
    try:
        rows = Task.objects.filter(pk=task_id)
        return wait_until(rows.first, _PATIENCE * limit, what="the result")
    except AssertionError as error:
        broker = get_broker()
        sizes = f"{broker.queue_size()} wait, {broker.lock_size()} are leased"
        raise AssertionError(f"{error}; {sizes}") from None


def wait_rows(count: int, limit: float = 2 * LIMIT, **wanted: Any) -> None:
    """Wait until so many results are there."""
    rows = Task.objects.filter(**wanted)
    wait_until(lambda: rows.count() >= count, _PATIENCE * limit, what=f"{count} results")


def stat_of(cluster: ClusterProcess, limit: float = LIMIT) -> Stat:
    """Wait for a heartbeat of the cluster that tells of its workers; the newest one."""

    def found() -> Stat | None:
        stats = (stat for stat in Stat.get_all() if stat.pid == cluster.pid)
        return next((stat for stat in stats if str(stat.status) != "Starting"), None)

    return wait_until(found, _PATIENCE * limit, what="the heartbeat")


def lives(process: psutil.Process) -> bool:
    """Tell whether a process runs; one that only waits for its parent does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def living(pids: Iterable[int]) -> list[int]:
    """Give those of the pids whose process runs."""
    return [pid for pid in pids if psutil.pid_exists(pid) and _is_living(pid)]


def _is_living(pid: int) -> bool:
    try:
        return lives(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False


def wait_children(cluster: ClusterProcess, count: int, without: int, limit: float) -> float:
    """Wait until the cluster has so many children again, one of them gone; seconds it took."""
    began = time.monotonic()

    def is_replaced() -> bool:
        pids = [child.pid for child in cluster.children() if lives(child)]
        return len(pids) == count and without not in pids

    wait_until(is_replaced, _PATIENCE * limit, what="a new child")
    return time.monotonic() - began


def has_clerk(worker: psutil.Process) -> bool:
    """Tell whether a worker has booted: then it has a second thread."""
    try:
        return worker.num_threads() > 1
    except psutil.NoSuchProcess:
        return False


def freeze(cluster: ClusterProcess) -> list[psutil.Process]:
    """Stop a whole tree, as a machine does that hangs; gives its processes.

    Not in the middle of a write to SQLite, whose lock would keep out everybody else.
    """
    while True:
        family = cluster.family()
        for process in family:
            process.suspend()
        if _can_write():
            return family
        for process in family:
            process.resume()
        time.sleep(0.01)


def _can_write() -> bool:
    connection = connections[router.db_for_write(Task)]
    if connection.vendor != "sqlite":
        return True
    name = connection.settings_dict["NAME"]
    with contextlib.closing(sqlite3.connect(name, timeout=0.1, isolation_level=None)) as other:
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        return True
