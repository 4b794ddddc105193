"""A project on Django Q 1.0, 1.3.9 or django-q2 1.11 goes on: rows, schedules, queued packages.

The databases are made by the published packages, in environments of their own.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from django_q.models import Failure, OrmQ, Schedule, Success, Task
from django_q.tasks import async_task, count_group, result, result_group
from tests.compat.environments import Project
from tests.waiting import wait_until

VERSIONS = ("django-q 1.0.2", "django-q 1.3.9", "django-q2 1.11.0")
Start = Callable[..., Any]


@pytest.mark.parametrize("old", VERSIONS, indirect=True)
def test_results_and_queued_packages_go_on(
    old: Project, q_cluster: Start, cluster: Start, hooks_file: Path
) -> None:
    q_cluster(orm="default", workers=2)
    old.do("migrate")
    old.do("keep_rows")
    sent = old.do("send_mix")

    call_command("migrate", verbosity=0)

    success, failure = Success.objects.get(name="a success"), Failure.objects.get()
    assert success.result == {"sum": 42, "on": success.stopped.date()}
    assert (success.args, success.kwargs) == ((20, 22), {"deep": [(1, 2)]})
    assert (success.enqueued, round(success.time_taken())) == (None, 5)
    assert failure.result.startswith("division by zero : Traceback")
    assert OrmQ.objects.count() == 6
    started = cluster()
    assert result(sent["plain"], wait=15_000) == 42
    assert result(sent["failing"], wait=9_000).startswith("division by zero : Traceback")
    assert sorted(map(str, result_group(sent["chain"], wait=9_000, count=3))) == ["-3", "3", "ab"]
    assert result(sent["iteration"], wait=9_000) == [6, 24, 120]
    wait_until(hooks_file.exists, what="the hook")
    assert hooks_file.read_text() == "hook six sevens True\n"
    assert count_group("queued") == 1
    assert started.stop() == 0
    assert not OrmQ.objects.exists()


@pytest.mark.parametrize("old", VERSIONS, indirect=True)
def test_schedules_go_on(old: Project, q_cluster: Start, cluster: Start) -> None:
    q_cluster(orm="default", workers=2, catch_up=False)
    old.do("migrate")
    names = set(old.do("plan"))

    call_command("migrate", verbosity=0)

    assert set(Schedule.objects.values_list("name", flat=True)) == names
    cluster()
    calls: dict[str, Any] = {
        "hourly": ((20, 22), {"deep": [1, {"a": (2, 3)}]}),
        "text": (("one",), {"two": 2, "three": "drei"}),
        "once": ((1,), {}),
        "thrice": ((), {}),
    }
    calls |= {name: ((), {}) for name in names & {"cron"}}
    for name, call in calls.items():
        assert list(result_group(name, wait=15_000, count=1)) == [call], name
    if "dated" in names:
        ((args, kwargs),) = result_group("dated", wait=15_000, count=1)
        assert args == () and set(kwargs) == {"when"}
        assert list(result_group("of its own", wait=15_000, count=1)) == [((), {})]
    now = timezone.now()
    left = {plan.name: plan for plan in Schedule.objects.all()}
    assert set(left) == names - {"once"}
    assert left["thrice"].repeats == 2
    assert all(plan.next_run > now for name, plan in left.items() if name != "over")
    assert not Task.objects.filter(group__in=["later", "over"]).exists()


@pytest.mark.parametrize("old", ["django-q2 1.11.0"], indirect=True)
def test_the_way_back_is_open(old: Project, q_cluster: Start, cluster: Start) -> None:
    q_cluster(orm="default", workers=1, legacy="write")
    old.do("migrate")
    call_command("migrate", verbosity=0)
    started = cluster()
    done = async_task("operator.add", 20, 22, task_name="by the new one", group="new")
    assert result(done, wait=9_000) == 42
    assert started.stop() == 0
    waiting = async_task("operator.add", "way", "back")

    # The old package on the new tables.
    old.do("migrate")
    old.do("plan")
    old.start_cluster()

    assert old.do("tell", done, 0) == {"success": True, "result": 42, "name": "by the new one"}
    assert old.do("tell", waiting, 20_000)["result"] == "wayback", old.log()
