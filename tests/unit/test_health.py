"""Signs of life: who is well, the file, systemd's socket, and what qhealth makes of them."""

import json
import multiprocessing
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from django_q.cluster import health
from django_q.cluster.health import Health, is_well
from django_q.cluster.offspring import Child
from django_q.cluster.scoreboard import Mark, Phase, Scoreboard, State
from tests.cluster.ground import stat_of
from tests.processes import ClusterProcess
from tests.waiting import wait_until

Start = Callable[..., Any]
NOW = 10_000.0


@pytest.fixture
def child() -> Child:
    """A worker that waits and has just beaten."""
    slot = Scoreboard(multiprocessing.get_context("fork"), 1).slot(0)
    slot.set("state", State.IDLE)
    slot.beat = NOW
    return Child(None, "worker", "worker-1", slot)  # type: ignore[arg-type]


def mark(phase: Phase, until: float = 0.0) -> Mark:
    return Mark(phase, "receipt", "key", NOW, until, "id", "task")


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        call_command("qhealth", *arguments)
    return int(caught.value.code or 0)


# Who is well.


def test_a_child_that_beats_is_well_and_one_that_does_not_is_not(child: Child) -> None:
    assert is_well(child, NOW + health.SILENCE - 1)
    assert not is_well(child, NOW + health.SILENCE + 1)


def test_a_task_may_hold_the_interpreter_until_its_limit(child: Child) -> None:
    late = NOW + 10 * health.SILENCE
    child.slot.write_mark(mark(Phase.RUNNING))
    assert is_well(child, late)

    child.slot.write_mark(mark(Phase.RUNNING, until=late - 1))
    assert not is_well(child, late)
    child.slot.write_mark(mark(Phase.SETTLING))
    assert not is_well(child, late)


def test_a_child_that_boots_has_its_time(child: Child) -> None:
    child.slot.set("state", State.BOOTING)

    assert is_well(child, NOW + 10 * health.SILENCE)


# The file.


def test_the_file_is_touched_once_a_second_while_all_are_well(child: Child, tmp_path: Path) -> None:
    path = tmp_path / "health"
    told = Health(str(path))

    told.tell([child], NOW)
    assert path.exists()
    os.utime(path, (0, 0))
    told.tell([child], NOW + 0.5)
    assert path.stat().st_mtime == 0
    told.tell([child], NOW + 1.5)
    assert path.stat().st_mtime > 0
    os.utime(path, (0, 0))
    told.tell([child], NOW + 2 * health.SILENCE)
    assert path.stat().st_mtime == 0
    told.end()
    assert not path.exists()


def test_a_file_that_cannot_be_written_stops_nothing(child: Child, tmp_path: Path) -> None:
    Health(str(tmp_path / "missing" / "health")).tell([child], NOW)


# systemd.


def test_systemd_is_told(child: Child, tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        told = Health(None, address)

        told.say_running()
        told.tell([child], NOW)
        told.tell([child], NOW + 2 * health.SILENCE)
        told.say_stopping()

        received = [systemd.recv(100).decode() for _ in range(3)]
    assert received == ["READY=1", "WATCHDOG=1", "STOPPING=1"]


def test_children_do_not_inherit_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/x")

    assert health.notify_address() == "/run/x"
    assert "NOTIFY_SOCKET" not in os.environ


# qhealth.


def test_a_fresh_file_is_healthy_and_an_old_one_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "health"
    assert run("--file", str(path)) == 1
    assert "No such file" in capsys.readouterr().out

    path.touch()
    assert run("--file", str(path)) == 0
    assert capsys.readouterr().out == "alive: ok\n"

    os.utime(path, (time.time() - 100,) * 2)
    assert run("--file", str(path), "--json") == 1
    assert json.loads(capsys.readouterr().out)["alive"].startswith(f"{path} was touched 100 s")


def test_who_asks_for_nothing_is_told_what_there_is() -> None:
    with pytest.raises(CommandError, match="--health-file"):
        call_command("qhealth")


def test_a_cluster_is_healthy_from_its_start_to_its_end(
    database: str,
    redis_url: str,
    q_cluster: Start,
    cluster: Start,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "health"
    q_cluster(redis=redis_url, workers=1, health_file=str(path))
    assert run("--ready") == 1
    started: ClusterProcess = cluster()
    stat_of(started)

    wait_until(path.exists, what="the file")
    wait_until(lambda: run("--ready") == 0, what="readiness")
    before = path.stat().st_mtime
    wait_until(lambda: path.stat().st_mtime > before, what="another touch")

    assert started.stop() == 0
    assert not path.exists()
    capsys.readouterr()


def test_a_broker_that_is_away_is_no_reason_to_be_killed(
    database: str, q_cluster: Start, cluster: Start, tmp_path: Path
) -> None:
    path = tmp_path / "health"
    q_cluster(redis="redis://127.0.0.1:1/0", workers=1, health_file=str(path))
    cluster(wait=False)

    wait_until(path.exists, 20, what="the file")

    assert run() == 0
    assert run("--ready") == 1
