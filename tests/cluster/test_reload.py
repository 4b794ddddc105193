"""`qcluster --reload`: the cluster starts anew when a file of the project changes."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_q.tasks import async_task
from tests.cluster.ground import AIR, RETRY, wait_task
from tests.cluster.trace import Trace
from tests.processes import ClusterProcess
from tests.waiting import wait_until

Start = Callable[..., Any]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of tasks in an app of its own; the directory is the clusters' current one."""
    (tmp_path / "changing").mkdir()
    (tmp_path / "changing" / "__init__.py").touch()
    path = tmp_path / "changing" / "tasks.py"
    path.write_text("def version():\n    return 1\n")
    monkeypatch.setenv("TEST_APPS", "changing")
    # Or else a change within the second might be taken for the old byte code.
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    return path


def send(name: str) -> str:
    return async_task(f"changing.tasks.{name}")


def test_a_change_starts_the_cluster_anew(
    database: str, redis_url: str, q_cluster: Start, cluster: Start, module: Path
) -> None:
    q_cluster(redis=redis_url, workers=1, retry=RETRY)
    started: ClusterProcess = cluster("--reload")
    assert wait_task(send("version")).result == 1

    module.write_text("def version():\n    return 2\n")

    started.wait_log("tasks.py changed: the cluster starts anew")
    wait_until(lambda: started.log().count("running") == 2, 20, what="the second cluster")
    assert wait_task(send("version")).result == 2
    # What cannot be loaded is waited for.
    (module.parent / "__init__.py").write_text("import nowhere\n")
    started.wait_log("exit code 1; waiting for a change", 15)
    (module.parent / "__init__.py").write_text("")
    wait_until(lambda: started.log().count("running") == 3, 20, what="the third cluster")
    assert wait_task(send("version")).result == 2
    assert started.stop() == 0
    assert not started.family()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_lets_running_tasks_end(
    number: int,
    database: str,
    redis_url: str,
    q_cluster: Start,
    cluster: Start,
    trace: Trace,
) -> None:
    q_cluster(redis=redis_url, workers=1, retry=RETRY)
    started: ClusterProcess = cluster("--reload")
    task_id = async_task("tests.site.tasks.record", trace.path, "a", 1.5)
    trace.wait_start("a")

    # As a terminal does, whose Ctrl-C reaches all that run in front.
    started.signal_group(number)

    assert started.wait(15) == 0
    assert wait_task(task_id).success
    assert not started.family()


def test_a_second_signal_means_now(
    database: str, redis_url: str, q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(redis=redis_url, workers=1, retry=RETRY)
    started: ClusterProcess = cluster("--reload")
    async_task("tests.site.tasks.record", trace.path, "a", 600)
    trace.wait_start("a")

    started.signal_group(signal.SIGINT)
    started.wait_log("Stopping")
    began = time.monotonic()
    started.signal_group(signal.SIGINT)

    assert started.wait(15) == 0
    assert time.monotonic() - began < 1 + AIR
