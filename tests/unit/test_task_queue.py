"""The kit for the tests of a site: what was enqueued, and running it in place."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import TestCase

from django_q.models import Task
from django_q.tasks import async_chain, async_iter, async_task, async_tasks, fetch, result
from django_q.testing import TaskQueue, task_queue
from tests.site import tasks

pytestmark = pytest.mark.usefixtures("database")
ADD = "tests.site.tasks.add"


def test_what_is_enqueued_is_kept_and_does_not_run() -> None:
    with task_queue() as queue:
        task_id = async_task(ADD, 1, 2, group="sums", cluster="other")

        (task,) = queue.tasks

    assert (task["id"], task["args"], task["group"]) == (task_id, (1, 2), "sums")
    assert not Task.objects.exists()


def test_a_task_can_be_asked_for() -> None:
    with task_queue() as queue:
        task_id = async_task(tasks.echo, 1, two=2)

        assert queue.assert_enqueued("tests.site.tasks.echo", 1, two=2) == task_id
        assert queue.find(tasks.echo)[0]["id"] == task_id
        wrong = r"echo\(2\) was not enqueued. There wait: tests.site.tasks.echo\(1, two=2\)"
        with pytest.raises(AssertionError, match=wrong):
            queue.assert_enqueued(tasks.echo, 2)
        with pytest.raises(AssertionError, match="Nothing should wait"):
            queue.assert_empty()


def test_a_drain_runs_all_and_what_they_enqueue() -> None:
    with task_queue() as queue:
        ids = async_tasks(ADD, [(1, 1), (2, 2)])
        group = async_chain([(ADD, (1, 2)), (ADD, (3, 4))])
        whole = async_iter(ADD, [(1, 1), (2, 2), (3, 3)])

        queue.drain()

        queue.assert_empty()
    assert [result(task_id) for task_id in ids] == [2, 4]
    assert Task.get_group_count(group) == 2
    assert result(whole) == [2, 4, 6]


def test_a_task_that_fails_raises_after_its_row_was_written() -> None:
    with task_queue() as queue:
        task_id = async_task(ADD, 1)

        with pytest.raises(TypeError):
            queue.drain()

    task = fetch(task_id)
    assert task is not None and not task.success


def test_a_drain_may_go_on_behind_a_failure() -> None:
    with task_queue() as queue:
        failing, good = async_task(ADD, 1), async_task(ADD, 1, 2)

        assert queue.drain(raises=False) == 2

    assert Task.objects.get(pk=failing).success is False
    assert result(good) == 3


def test_eager_tasks_are_done_when_the_call_returns() -> None:
    with task_queue(eager=True) as queue:
        assert result(async_task(ADD, 20, 22)) == 42
        with pytest.raises(TypeError):
            async_task(ADD)
        queue.assert_empty()


def test_eager_tasks_need_not_raise() -> None:
    with task_queue(eager=True, raises=False):
        task_id = async_task(ADD)

    assert Task.objects.get(pk=task_id).success is False


def test_an_inner_block_has_a_queue_of_its_own() -> None:
    with task_queue() as outer:
        async_task(ADD, 1, 1)
        with task_queue() as inner:
            async_task(ADD, 2, 2)
        async_task(ADD, 3, 3)

    assert [task["args"] for task in inner.tasks] == [(2, 2)]
    assert [task["args"] for task in outer.tasks] == [(1, 1), (3, 3)]


def test_a_project_that_runs_all_in_place_can_look_at_its_tasks(q_cluster: Any) -> None:
    q_cluster(orm="default", sync=True)

    with task_queue() as queue:
        async_task(ADD, 1, 1)
        assert len(queue) == 1

    assert result(async_task(ADD, 1, 1)) == 2


def test_it_works_inside_a_test_case_of_django() -> None:
    class Site(TestCase):
        def test_it(self) -> None:
            with task_queue() as queue:
                task_id = async_task(ADD, 1, 2)
                queue.drain()
            assert result(task_id) == 3

    Site.setUpClass()
    try:
        outcome = Site("test_it").run()
    finally:
        Site.tearDownClass()
        Site.doClassCleanups()

    assert outcome is not None and outcome.wasSuccessful(), outcome
    assert not Task.objects.exists()  # rolled back with the test's transaction


def test_pytest_has_fixtures(tmp_path: Path) -> None:
    (tmp_path / "test_site.py").write_text(_SITE)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


_SITE = """
import django
import pytest
from django.conf import settings

MEMORY = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
settings.configure(INSTALLED_APPS=["django_q"], DATABASES={"default": MEMORY}, SECRET_KEY="x",
                   DEFAULT_AUTO_FIELD="django.db.models.BigAutoField")
django.setup()

from django.core.management import call_command
from django_q.tasks import async_task, result

call_command("migrate", verbosity=0)


def test_queue(task_queue):
    async_task("math.gcd", 4, 6)
    task_queue.assert_enqueued("math.gcd", 4, 6)


def test_eager(eager_tasks):
    assert result(async_task("math.gcd", 4, 6)) == 2
"""


def test_the_queue_tells_its_length() -> None:
    assert len(TaskQueue()) == 0
