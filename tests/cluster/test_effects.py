"""Tasks with `atomic` have their effect exactly once, whatever becomes of workers and machines."""

import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.db import connection

from django_q.models import Ledger, Task
from django_q.tasks import async_task, async_tasks
from tests.cluster.ground import (
    AT_ONCE,
    LONG,
    RETRY,
    on,
    on_all_when_long,
    wait_children,
    wait_empty,
    wait_rows,
)
from tests.cluster.trace import Trace
from tests.processes import ClusterProcess
from tests.site.databases import PATIENCE
from tests.site.effects import effects
from tests.waiting import wait_until

SITE = "tests.site.effects"
#: Tasks in a drain, how long each takes, and how many workers are killed meanwhile.
TASKS, PACE, KILLS = (2000, 0.01, 30) if LONG else (200, 0.01, 4)

Start = Callable[..., Any]


@on_all_when_long("postgres", "mariadb", "sqlite")
def test_killed_workers_leave_each_effect_once_and_what_follows_it(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(**place, workers=2, retry=RETRY, save_limit=0)
    started: ClusterProcess = cluster()
    follower = (f"{SITE}.follow", (), {"q_options": {"atomic": True}})
    calls = [(trace.path, n, PACE) for n in range(TASKS)]
    async_tasks(f"{SITE}.record", calls, atomic=True, on_success=follower)

    for n in range(1, KILLS + 1):
        trace.wait_ends(n * TASKS // (KILLS + 1))
        victim = trace.newest_pid()
        os.kill(victim, signal.SIGKILL)
        assert wait_children(started, 3, without=victim, limit=10) < AT_ONCE

    wait_rows(2 * TASKS, success=True)
    wait_empty()
    wanted = [str(n) for n in range(TASKS)]
    assert effects() == dict.fromkeys([*wanted, *(f"after {n}" for n in wanted)], 1)
    assert Task.objects.count() == 2 * TASKS
    assert started.stop() == 0
    assert not Ledger.objects.exists()


@on_all_when_long("postgres", "mariadb")
def test_a_frozen_run_that_wakes_up_late_leaves_nothing(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace, tmp_path: Path
) -> None:
    """On SQLite who writes keeps others out, frozen or not: there no second run can begin."""
    q_cluster(**place, workers=1, retry=1, save_limit=0)
    frozen: ClusterProcess = cluster()
    gate = tmp_path / "gate"
    task_id = async_task(f"{SITE}.hold", trace.path, "a", str(gate), atomic=True)
    first = trace.wait_start("a")
    family = [psutil.Process(frozen.pid), *frozen.children()]
    for process in family:
        process.suspend()
    cluster()
    second = trace.wait_start("a", times=2)

    gate.touch()
    wait_rows(1)
    for process in reversed(family):
        process.resume()
    frozen.wait_log("lost its lease while it ran")

    assert first != second
    assert effects() == {"a": 1}
    assert Task.objects.get().pk == task_id
    wait_empty()


def locked() -> sqlite3.Connection:
    """Lock the file between two tasks, of which one holds it nearly always; `close` unlocks it.

    SQLite itself would look ever more seldom, and find it free when all of them are done.
    """
    other = sqlite3.connect(connection.settings_dict["NAME"], timeout=0)

    def is_locked() -> bool:
        with contextlib.suppress(sqlite3.OperationalError):
            other.execute("BEGIN IMMEDIATE")
        return other.in_transaction

    wait_until(is_locked, pause=0.0005, what="the lock")
    return other


def test_a_locked_database_costs_neither_a_run_nor_an_effect(
    database: str,
    q_cluster: Start,
    cluster: Start,
    trace: Trace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Locked for longer than the cluster waits for a lock, and than a task may take."""
    monkeypatch.setenv(PATIENCE, "0.5")
    q_cluster(orm="default", workers=2, save_limit=0, timeout=1)
    started: ClusterProcess = cluster()
    count = 80
    async_tasks(f"{SITE}.record", [(trace.path, n, 0.01) for n in range(count)], atomic=True)

    for n in range(1, 4):
        trace.wait_ends(n * count // 5)
        with contextlib.closing(locked()):
            time.sleep(2)

    wait_rows(count, success=True)
    assert effects() == {str(n): 1 for n in range(count)}
    assert trace.started().total() == count
    assert "could not be begun, and is tried again" in started.log()
    assert not Ledger.objects.exists()


@pytest.mark.skipif(not LONG, reason="the unit tests have the rest: LONG=1")
@on("postgres", "mariadb", "sqlite")
def test_threads_commit_each_for_itself(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(**place, workers=1, threads=4, retry=RETRY, save_limit=0)
    async_tasks(f"{SITE}.record", [(trace.path, n, PACE) for n in range(50)], atomic=True)
    async_tasks(f"{SITE}.fail", [("never",)] * 20, atomic=True)

    cluster()

    wait_rows(70)
    wait_empty()
    assert effects() == {str(n): 1 for n in range(50)}
