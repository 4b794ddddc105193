"""For a time both versions run: producers of one with clusters of the other, and all at once."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command

from django_q.models import Task
from django_q.tasks import async_chain, async_iter, async_task, async_tasks, result, result_group
from tests.compat.environments import Project
from tests.waiting import wait_until

Start = Callable[..., Any]
PLACES = [("default", "redis"), ("default", "orm"), ("postgres", "orm")]


def on(*places: tuple[str, str]) -> pytest.MarkDecorator:
    """Run the test with django-q2 for each pair of a database and the place of the packages."""
    pairs = [(alias, f"django-q2 1.11.0 on {place}") for alias, place in places]
    names = [place if place == "redis" else alias for alias, place in places]
    return pytest.mark.parametrize(("database", "old"), pairs, indirect=True, ids=names)


@pytest.fixture
def place(old: Project, database: str, redis_url: str) -> dict[str, Any]:
    """What `Q_CLUSTER` says of the broker, as it does in the old project; our tables are made."""
    old.do("migrate")
    call_command("migrate", database=database, verbosity=0)
    return {"redis": redis_url} if old.values.get("redis") else {"orm": database}


@on(*PLACES)
def test_tasks_of_an_old_site_run_in_a_new_cluster(
    old: Project, place: dict[str, Any], q_cluster: Start, cluster: Start
) -> None:
    q_cluster(**place, workers=2)
    cluster()

    sent = old.do("send_mix")

    # It finds the results where it looks for them.
    told = old.do("tell", sent["plain"], 15_000)
    assert told == {"success": True, "result": 42, "name": "six sevens"}
    failed = old.do("tell", sent["failing"], 9_000)
    assert not failed["success"] and failed["result"].startswith("division by zero : Trace")
    assert old.do("tell_group", sent["chain"], 3, 9_000) == ["-3", "3", "ab"]
    assert old.do("tell", sent["iteration"], 9_000)["result"] == [6, 24, 120]


@on(*PLACES)
def test_tasks_of_a_new_site_run_in_an_old_cluster(
    old: Project, place: dict[str, Any], q_cluster: Start
) -> None:
    q_cluster(**place, legacy="write", cache="shared")
    old.start_cluster()

    plain = async_task("operator.mul", 6, 7, task_name="six sevens", group="new")
    failing = async_task("operator.truediv", 1, 0, ack_failure=True)
    chain = async_chain([("operator.add", (1, 2)), ("operator.neg", (3,))])
    iteration = async_iter("math.factorial", [3, 4, 5])

    assert result(plain, wait=30_000) == 42, old.log()
    assert result(failing, wait=9_000).startswith("division by zero : Traceback")
    assert sorted(result_group(chain, wait=9_000, count=2)) == [-3, 3], old.log()
    assert sorted(result(iteration, wait=9_000)) == [6, 24, 120], old.log()


@on(("default", "redis"), ("postgres", "orm"))
def test_nothing_is_lost_while_both_clusters_share_a_queue(
    old: Project, place: dict[str, Any], q_cluster: Start, cluster: Start
) -> None:
    q_cluster(**place, workers=2, legacy="write")
    cluster()
    old.start_cluster()

    ids = {*async_tasks("operator.neg", range(100)), *old.do("send_many", 100)}
    wait_until(lambda: Task.objects.count() >= 200, 30, what="200 results")

    assert set(Task.objects.values_list("id", flat=True)) == ids
    assert not Task.objects.filter(success=False).exists()
