"""Tasks of Django's framework through a real cluster: under `django.tasks` and the backport."""

from pathlib import Path
from typing import Any

import pytest

from tests.compat.environments import Project
from tests.django_tasks.environment import VERSIONS

#: Django of the project, and where its queue is. "here" has the backport on Django 5.2.
_PROJECTS = [(VERSIONS[-1], "postgres"), (VERSIONS[-1], "redis"), ("here", "redis")]


@pytest.mark.parametrize(("project", "place"), _PROJECTS, indirect=True)
def test_tasks_of_the_framework_run_in_a_cluster(
    project: Project, place: dict[str, Any], tmp_path: Path
) -> None:
    lines, gate, signals = tmp_path / "lines", tmp_path / "gate", tmp_path / "signals"

    before = project.do("prepare", str(lines))["prepare"]
    project.start_cluster()
    after = project.do("work", before["ids"])["work"]
    more = project.do("watch,both_doors,on_commit,forget,in_a_loop,cancelled", str(gate))

    assert before["checks"] == []
    assert before["statuses"] == ["READY"]
    assert before["differ"] == []
    order = lines.read_text().split()
    order.remove("later")
    assert order == ["high", "middle", "low"]
    _look_at_results(after)
    assert more["watch"] == ["READY", "RUNNING 1", "SUCCESSFUL"]
    assert more["both_doors"] == {
        "plain": 42, "by_path": 42, "plain_is_no_result": True, "by_path_is": "SUCCESSFUL",
    }  # fmt: skip
    assert more["on_commit"] == [[], "READY", 3, "late", True]
    assert more["forget"]
    cancelled = more["cancelled"]
    assert (cancelled["status"], cancelled["errors"]) == (
        "FAILED", ["django_q.exceptions.TaskCancelled"],
    )  # fmt: skip
    assert more["in_a_loop"] == [42, 42]
    _look_at_signals(after | {"cancelled": cancelled}, signals.read_text().splitlines())


def _look_at_results(facts: dict[str, Any]) -> None:
    assert facts["waited"] >= 1
    assert (facts["elsewhere"]["status"], facts["elsewhere"]["queue"]) == ("READY", "other")
    assert (facts["add"]["value"], facts["add"]["attempts"]) == ([1, 2], 1)
    assert facts["double"]["value"] == 42
    task_id, status, attempt, workers = facts["tell"]["value"]
    assert (task_id, status, attempt) == (facts["tell"]["id"], "RUNNING", 1)
    assert len(workers) == 1 and ":" in workers[0]

    recovered = facts["recover"]
    assert (recovered["status"], recovered["attempts"]) == ("SUCCESSFUL", 3)
    assert recovered["errors"] == recovered["value"] == ["builtins.ValueError"] * 2
    hopeless = facts["hopeless"]
    assert (hopeless["status"], hopeless["attempts"]) == ("FAILED", 2)
    assert hopeless["errors"] == ["builtins.KeyError"] * 2
    assert hopeless["traceback"].startswith("Traceback (most recent call last):\n")
    assert hopeless["traceback"].endswith("KeyError: 'nothing'\n")
    assert "django_q" not in hopeless["traceback"]
    assert facts["linger"]["status"] == "FAILED"
    assert facts["linger"]["errors"] == ["django_q.exceptions.TimeoutException"]


def _look_at_signals(facts: dict[str, Any], lines: list[str]) -> None:
    def of(name: str) -> list[str]:
        task_id = facts[name]["id"]
        return [line.replace(task_id, "").replace("  ", " ") for line in lines if task_id in line]

    assert of("add") == ["started RUNNING main", "finished SUCCESSFUL main"]
    assert of("double") == ["started RUNNING main", "finished SUCCESSFUL main"]
    assert of("recover") == ["started RUNNING main"] * 3 + ["finished SUCCESSFUL main"]
    assert of("hopeless") == ["started RUNNING main"] * 2 + ["finished FAILED main"]
    assert of("cancelled") == ["finished FAILED main"]
