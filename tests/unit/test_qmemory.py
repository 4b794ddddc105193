"""`manage.py qmemory`: the memory of processes here, and of those that are not."""

import io
import json
import os
import re
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from django_q.management.commands.qmemory import _Memory
from django_q.monitor import memory_use
from django_q.monitor.memory_screen import Reading, memory_lines
from django_q.monitor.memory_use import Machine, Process, Usage
from django_q.monitor.paint import Paint
from django_q.monitor.text import text_width
from django_q.status import WorkerState
from tests.unit.heartbeats import here, start_cluster


@pytest.fixture(autouse=True)
def site(database: str, q_cluster: Any) -> str:
    """A site whose queue and heartbeats are in the database."""
    q_cluster(orm=database)
    return database


def qmemory(*arguments: str) -> str:
    out = io.StringIO()
    call_command("qmemory", *arguments, stdout=out)
    return out.getvalue()


def words(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


@pytest.mark.parametrize("has_psutil", [True, False])
def test_the_memory_of_every_process_is_shown(
    has_psutil: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_psutil:
        monkeypatch.setattr(memory_use, "psutil", None)
    stat = here()

    lines = words(qmemory("--workers"))

    assert f"{stat.name} {stat.host}" in lines
    pid = os.getpid()
    for role in ("supervisor", "housekeeper", f"worker {pid} idle"):
        pattern = rf"{role}.* \d+ MiB \d+ MiB"
        assert any(re.fullmatch(pattern, line) for line in lines), (role, lines)
    assert any(re.fullmatch(r"together \d+ MiB \d+ MiB", line) for line in lines)
    assert any(re.fullmatch(r"This host has .* available\.", line) for line in lines)


def test_both_ways_to_read_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    by_psutil = memory_use.cluster_memory(here()).total(), memory_use.machine_memory().total
    monkeypatch.setattr(memory_use, "psutil", None)
    by_proc = memory_use.cluster_memory(here()).total(), memory_use.machine_memory().total

    assert by_psutil[0].resident == pytest.approx(by_proc[0].resident, rel=0.05)
    assert by_psutil[0].share == pytest.approx(by_proc[0].share, rel=0.05)
    assert by_psutil[1] == by_proc[1]


def test_clusters_have_a_row_each() -> None:
    stat = here(queue="mail")

    lines = words(qmemory("--run-once"))

    row = next(line for line in lines if line.startswith(stat.name[:18]))
    assert re.search(rf"mail {stat.host} 3 \d+ MiB \d+ MiB$", row)


def test_processes_that_are_gone_or_elsewhere_are_not_guessed_at() -> None:
    gone = WorkerState(pid=2**22 + 1, slot=1, state="idle", done=0)
    start_cluster(worker_states=[gone])
    far = WorkerState(pid=os.getpid(), slot=1, state="busy", task_name="t", rss=50 * 2**20)
    start_cluster(host="far away", sentinel=1, worker_states=[far])

    lines = words(qmemory("--workers"))

    assert f"worker {2**22 + 1} idle - -" in lines
    assert f"worker {os.getpid()} t 50 MiB -" in lines
    assert "together - -" in lines
    assert "1 cluster is on another host: its memory is known there." in lines


def test_it_fits_into_eighty_columns_and_is_plain_in_a_pipe() -> None:
    long = "a-name-that-is-much-longer-than-any-column-" * 2
    here(queue=long, host=long, name=long)

    for text in (qmemory(), qmemory("--workers")):
        assert max(map(len, text.splitlines())) <= 80
        assert text.isascii()
        assert "\x1b" not in text


@pytest.mark.parametrize("size", [(80, 24), (120, 50), (60, 12), (33, 7)])
@pytest.mark.parametrize("with_workers", [True, False])
def test_a_screen_fits_its_terminal(size: tuple[int, int], with_workers: bool) -> None:
    for _ in range(10):
        here()

    lines = _Memory(with_workers).draw(*size, Paint(), True)

    assert len(lines) == size[1]
    assert max(map(text_width, lines)) <= size[0]
    assert "q Quit" in lines[-1]


def test_a_key_changes_between_clusters_and_workers() -> None:
    here()
    screen = _Memory(False)

    def picture() -> str:
        return "\n".join(screen.draw(80, 24, Paint(), True))

    assert "housekeeper" not in picture()
    assert screen.press("w")
    assert "housekeeper" in picture()
    assert not screen.press("q")


def test_json_has_every_process() -> None:
    here()

    figures = json.loads(qmemory("--json"))

    [cluster] = figures["clusters"]
    assert [process["role"] for process in cluster["processes"]] == [
        "supervisor",
        "housekeeper",
        "worker",
    ]
    assert cluster["resident"] == sum(process["resident"] for process in cluster["processes"])
    assert figures["machine"]["total"] > 0


def test_without_a_cluster_it_says_how_to_start_one() -> None:
    assert "No cluster is running. Start one: python manage.py qcluster" in qmemory()


def test_a_broker_that_is_away_is_told(q_cluster: Any) -> None:
    q_cluster(redis="redis://127.0.0.1:1/0")

    with pytest.raises(CommandError, match="127.0.0.1:1"):
        qmemory()
    assert any("127.0.0.1:1" in line for line in _Memory(False).draw(80, 24, Paint(), True))


def test_a_host_that_tells_nothing_is_shown_with_what_is_known() -> None:
    process = Process("worker", 1, "idle", Usage())
    cluster = memory_use.ClusterMemory(start_cluster(), True, [process])
    reading = Reading(timezone.now(), "p", [cluster], Machine())

    text = "\n".join(memory_lines(reading, Paint(), with_workers=True))

    assert "This host" not in text
