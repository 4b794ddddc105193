"""Receivers get what they got: the sender, the function, and the package with its old keys."""

import json
from pathlib import Path
from typing import Any

import pytest

from django_q import signals
from django_q.models import Task
from django_q.tasks import async_task
from tests.processes import ClusterProcess
from tests.waiting import wait_until

#: Keys that a task always had, and their types.
ALWAYS = {"id": "str", "name": "str", "func": "str", "args": "tuple", "kwargs": "dict",
          "started": "datetime", "cluster": "str"}  # fmt: skip
#: Keys that came with the end of the run.
ENDED = {"result": "str", "success": "bool", "stopped": "datetime"}


def heard(file: Path, count: int) -> dict[str, dict[str, Any]]:
    """What the receivers wrote down, by signal."""

    def lines() -> list[str] | None:
        found = file.read_text().splitlines() if file.exists() else []
        return found if len(found) >= count else None

    notes = [json.loads(line) for line in wait_until(lines, what=f"{count} signals") or []]
    return {note["signal"]: note for note in notes}


def test_receivers_in_the_worker_get_the_old_package(
    shared_cluster: ClusterProcess, file: Path
) -> None:
    task_id = async_task(
        "tests.compat.listeners.work", str(file), "done", group="g", task_name="told"
    )

    said = heard(file, 3)

    assert [note["sender"] for note in said.values()] == ["django_q"] * 3
    before, behind, after = (
        said[name]["kinds"] for name in ("pre_execute", "post_execute_in_worker", "post_execute")
    )
    leased = {"ack_id": "str", "group": "str"}
    assert before == ALWAYS | leased
    assert behind == ALWAYS | leased | ENDED
    assert after == ALWAYS | ENDED | {"group": "str"}
    assert [said[name]["func"] for name in ("pre_execute", "post_execute_in_worker")] == [
        "work", "work",
    ]  # fmt: skip
    values = {"id": task_id, "name": "told", "cluster": "default", "success": "True"}
    assert said["post_execute"]["values"] == values | {"result": "done"}


def test_receivers_hear_of_a_failure_with_its_text(
    shared_cluster: ClusterProcess, file: Path
) -> None:
    async_task("tests.compat.listeners.fail", str(file))

    for name in ("post_execute_in_worker", "post_execute"):
        values = heard(file, 3)[name]["values"]
        assert values["success"] == "False"
        assert values["result"].startswith("on purpose : Traceback (most recent call last):")


def test_a_receiver_of_pre_enqueue_may_change_the_package(
    database: str, q_cluster: Any, request: pytest.FixtureRequest
) -> None:
    q_cluster(orm="default", sync=True)

    keys: set[str] = set()

    def change(sender: str, task: dict[str, Any], **kwargs: Any) -> None:
        assert sender == "django_q"
        keys.update(task)
        task["args"] = (1, 2)

    signals.pre_enqueue.connect(change)
    request.addfinalizer(lambda: signals.pre_enqueue.disconnect(change))

    task_id = async_task("tests.site.tasks.add", 20, 22, group="g", q_options={"timeout": 5})

    assert keys == {*ALWAYS, "group", "timeout"} - {"cluster"}
    assert Task.objects.get(pk=task_id).result == 3
