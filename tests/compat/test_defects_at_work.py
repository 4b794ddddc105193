"""What went wrong in a running cluster of Django Q, and how it is now; one test for each defect.

The number above a test is the defect's in the list that this project was begun with. All tests
use one cluster, whatever the tests before did to it.
"""

import os
import signal
import sys
import types
from pathlib import Path
from typing import Any

import psutil

from django_q.brokers import get_broker
from django_q.models import Rejected, Task
from django_q.status import Stat
from django_q.tasks import async_chain, async_task, fetch, result_group
from tests.processes import ClusterProcess
from tests.waiting import wait_until


def ended(task_id: str, limit: float = 10.0) -> Task:
    """The row of a task, once it is there."""
    task = fetch(task_id, wait=limit * 1000)
    assert task is not None, "the task has not ended"
    return task


def works(cluster: ClusterProcess) -> bool:
    """Whether the cluster runs a task within its usual time."""
    return ended(async_task("tests.site.tasks.add", 20, 22), 5).result == 42


def beat(cluster: ClusterProcess) -> Stat:
    """The cluster's heartbeat, which has to be fresh."""
    return wait_until(lambda: next((s for s in Stat.get_all() if s.pid == cluster.pid), None))


def kill(process: psutil.Process) -> None:
    """Kill a worker and wait until it is gone from the tree."""
    process.send_signal(signal.SIGKILL)
    wait_until(lambda: not process.is_running() or process.status() == "zombie")


# D2
def test_a_task_that_kills_its_worker_fails_and_does_not_come_back(
    shared_cluster: ClusterProcess, file: Path
) -> None:
    task = ended(async_task("tests.site.tasks.kill_self", path=str(file)))

    assert not task.success
    assert "ended its worker 3 times" in task.result
    assert len(file.read_text().splitlines()) == 3
    assert get_broker().queue_size() == get_broker().lock_size() == 0


# D3
def test_the_death_of_an_idle_worker_stops_nobody_else(shared_cluster: ClusterProcess) -> None:
    others = {beat(shared_cluster).housekeeper}
    workers = [child for child in shared_cluster.children() if child.pid not in others]
    for worker in workers:
        kill(worker)

        assert works(shared_cluster)

    old = {worker.pid for worker in workers}
    wait_until(lambda: len(set(beat(shared_cluster).workers) - old) == 2, what="new workers")


# D4
def test_a_worker_that_dies_while_it_reports_locks_nobody(
    shared_cluster: ClusterProcess, file: Path
) -> None:
    task_id = async_task(
        "tests.compat.listeners.work", str(file), task_name="dies while it reports"
    )

    assert ended(task_id).success
    assert Path(f"{file}.once").exists()
    assert works(shared_cluster)
    wait_until(lambda: beat(shared_cluster).reincarnations >= 1, what="a heartbeat that tells it")


# D5
def test_a_slow_receiver_does_not_stop_the_heart(shared_cluster: ClusterProcess) -> None:
    task_id = async_task("tests.compat.listeners.work", task_name="reports for long")
    moments = set()

    def seen_beating() -> bool:
        moments.add(beat(shared_cluster).timestamp)
        return len(moments) >= 4

    wait_until(seen_beating, 3, what="four heartbeats")
    assert fetch(task_id) is None
    assert works(shared_cluster)
    assert ended(task_id).success


# D6
def test_neither_a_receiver_nor_a_timeout_of_none_kills_a_worker(
    shared_cluster: ClusterProcess,
) -> None:
    before = beat(shared_cluster).reincarnations
    refused = async_task("tests.compat.listeners.work", value=1, task_name="refused")
    endless = async_task("tests.site.tasks.add", 1, 1, timeout=None)

    assert (ended(refused).result, ended(endless).result) == (1, 2)
    assert "no such task today" in shared_cluster.wait_log("ValueError: no such task today")
    assert beat(shared_cluster).reincarnations == before


# D10
def test_a_result_that_cannot_be_pickled_is_a_failure_that_says_so(
    shared_cluster: ClusterProcess,
) -> None:
    task = ended(async_task("tests.site.tasks.give_generator"))

    assert not task.success
    assert "The result (generator) could not be stored" in task.result
    wait_until(lambda: beat(shared_cluster).empty_queues(), what="empty queues")


# D11
def test_a_coroutine_is_awaited(shared_cluster: ClusterProcess) -> None:
    assert ended(async_task("tests.site.tasks.answer")).result == 42


# D12
def test_a_package_of_a_class_that_moved_is_kept_and_the_others_run(
    shared_cluster: ClusterProcess,
) -> None:
    module: Any = types.ModuleType("moved_away")
    module.Thing = type("Thing", (), {"__module__": "moved_away"})
    sys.modules["moved_away"] = module
    try:
        async_task("tests.site.tasks.echo", module.Thing())
    finally:
        del sys.modules["moved_away"]

    assert works(shared_cluster)
    kept = wait_until(lambda: Rejected.objects.first(), what="the rejected package")
    assert kept is not None and "No module named 'moved_away'" in kept.reason


# D13
def test_a_limit_spares_the_worker_and_holds_against_whoever_swallows_it(
    shared_cluster: ClusterProcess,
) -> None:
    before = beat(shared_cluster).reincarnations

    soft = ended(async_task("tests.site.tasks.sleep", 60, timeout=0.3))

    assert not soft.success and "ran longer than its limit of 0.3 s" in soft.result
    assert beat(shared_cluster).reincarnations == before
    hard = ended(async_task("tests.site.tasks.swallow_everything", timeout=0.3))
    assert not hard.success and "hard limit" in hard.result


# D14
def test_the_hard_limit_needs_no_lucky_guard_cycle(shared_cluster: ClusterProcess) -> None:
    task = ended(async_task("tests.site.tasks.hold_interpreter", timeout=0.3))

    assert not task.success and "hard limit" in task.result
    assert works(shared_cluster)


# D17
def test_a_slow_hook_delays_no_other_task(shared_cluster: ClusterProcess) -> None:
    slow = async_task("tests.site.tasks.noop", hook="tests.compat.listeners.slow_hook", timeout=20)
    ended(slow)

    others = [async_task("tests.site.tasks.add", n, n) for n in range(20)]

    assert [ended(id, 2).result for id in others] == [2 * n for n in range(20)]
    assert get_broker().queue_size() == 0


# D21
def test_a_chain_ends_at_a_failure_and_goes_on_without_saved_results(
    shared_cluster: ClusterProcess, tmp_path: Path
) -> None:
    file = tmp_path / "trace"
    add, fail = "tests.site.tasks.add", "tests.site.tasks.fail"
    broken = async_chain([(add, (1, 2)), fail, (add, (3, 4))])
    unsaved = {"q_options": {"save": False}}
    async_chain([("tests.site.tasks.record", (str(file), n), unsaved) for n in range(3)])

    wait_until(lambda: file.exists() and file.read_text().count("end") >= 3, what="three links")
    wait_until(lambda: Task.objects.filter(group=broken).count() == 2)
    shared_cluster.wait_log(f"The chain {broken} ends after the failure")
    assert list(result_group(broken)) == [3]
    assert [line.split()[:2] for line in file.read_text().splitlines()] == [
        [word, str(n)] for n in range(3) for word in ("start", "end")
    ]


# D22
def test_a_hook_is_called_once_whatever_becomes_of_the_result(
    shared_cluster: ClusterProcess, hooks_file: Path
) -> None:
    for name, options in {
        "saved": {},
        "unsaved": {"save": False},
        "cached": {"cached": 60},
    }.items():
        hook = "tests.site.tasks.write_hook"
        last = async_task("tests.site.tasks.noop", hook=hook, task_name=name, **options)
    wait_until(lambda: hooks_file.exists() and hooks_file.read_text().count("\n") == 3)

    Task.objects.get(name="saved").save()

    assert works(shared_cluster)
    assert last
    lines = sorted(hooks_file.read_text().splitlines())
    assert lines == ["hook cached True", "hook saved True", "hook unsaved True"]


# D32
def test_waiting_and_running_are_told_apart_and_seen(shared_cluster: ClusterProcess) -> None:
    ids = [async_task("tests.site.tasks.sleep", 1.0) for _ in range(4)]

    def running() -> bool:
        states: list[Any] = beat(shared_cluster).worker_states
        return bool({state["task_id"] for state in states} & set(ids))

    wait_until(running, 4, what="a heartbeat that tells of a running task")
    last = max((ended(id) for id in ids), key=lambda task: task.stopped)
    assert last.enqueued is not None
    assert 1.0 <= last.time_taken() < 1.9
    assert (last.started - last.enqueued).total_seconds() >= 0.9
    assert os.getpid() not in beat(shared_cluster).workers
