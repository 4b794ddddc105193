"""What the processes of a cluster have in common, and what each has for itself. Linux only."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_q.tasks import async_task, async_tasks
from tests.cluster.ground import on, wait_empty, wait_rows, wait_task

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux")

Start = Callable[..., Any]

#: Writes down what is loaded whenever the process that has loaded the project forks.
WATCHED = """
import multiprocessing, os, pathlib, sys
def look():
    if multiprocessing.parent_process() is None:
        pathlib.Path({file!r}).write_text(" ".join(sys.modules))
os.register_at_fork(before=look)
"""
#: MB a worker has for itself after some tasks. Measured on this site: 9 with the database, 11 with
#: Redis; some 6 more where each loads its parts after the fork.
OWN = 15


@pytest.fixture
def before_fork(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """File that gets the names of what the supervisor has loaded."""
    file = tmp_path / "before-fork"
    (tmp_path / "watched").mkdir()
    (tmp_path / "watched" / "__init__.py").write_text(WATCHED.format(file=str(file)))
    monkeypatch.setenv("TEST_APPS", "watched")
    return file


@on("redis", "sqlite", "postgres")
def test_a_worker_loads_nothing_that_the_supervisor_could_share(
    place: dict[str, Any], q_cluster: Start, cluster: Start, before_fork: Path
) -> None:
    q_cluster(**place, start_method="fork")
    cluster()
    async_tasks("tests.site.tasks.echo", [(number,) for number in range(20)])
    wait_rows(20)

    loaded = set(wait_task(async_task("tests.site.shared.loaded")).result)

    shared = set(before_fork.read_text().split())
    assert {name for name in loaded - shared if not name.startswith("tests")} == set()


def test_what_is_preloaded_is_shared(
    database: str, q_cluster: Start, cluster: Start, before_fork: Path
) -> None:
    q_cluster(orm=database, start_method="fork", preload=["tests.site.shared", "wave"])
    cluster()

    loaded = wait_task(async_task("tests.site.shared.loaded")).result

    assert {"tests.site.shared", "wave"} <= set(loaded) & set(before_fork.read_text().split())


def test_what_cannot_be_preloaded_ends_it_with_the_reason(
    database: str, q_cluster: Start, cluster: Start
) -> None:
    q_cluster(orm=database, start_method="fork", preload=["tests.site.forgotten"])

    started = cluster(wait=False)

    assert started.wait() == 1
    assert "Q_CLUSTER[\"preload\"] names 'tests.site.forgotten'" in started.log()


@on("redis", "sqlite")
def test_a_worker_has_little_memory_for_itself(
    place: dict[str, Any], q_cluster: Start, cluster: Start
) -> None:
    q_cluster(**place, start_method="fork", workers=2)
    cluster()
    async_tasks("tests.site.tasks.echo", [(number,) for number in range(200)])
    wait_empty()

    own = wait_task(async_task("tests.site.shared.own_memory")).result

    assert own < OWN
