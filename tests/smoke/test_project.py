"""A newcomer's first minutes: install, migrate, enqueue, run a cluster, look at the result."""

import importlib.metadata
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import django_q

Manage = Callable[..., str]

_ENQUEUE = """
from django_q.tasks import async_task
print("id", async_task("shop.tasks.multiply", 6, 7))
print("id", async_task("shop.tasks.fail"))
"""

_RESULTS = """
from django_q.models import Task
for task in Task.objects.order_by("success"):
    print(task.func, task.success, str(task.result).partition(" :")[0])
"""


@pytest.fixture
def environment() -> Path:
    """The environment that the wheel was installed into."""
    if "SMOKE_EXPECTS" not in os.environ:
        pytest.skip("the checkout is tried, not an installed wheel")
    return Path(os.environ["SMOKE_EXPECTS"]).resolve()


def test_the_wheel_is_what_is_tested(environment: Path) -> None:
    assert Path(django_q.__file__).resolve().is_relative_to(environment)


def test_the_distribution_says_what_the_module_says(environment: Path) -> None:
    assert importlib.metadata.version("django-q3") == django_q.__version__
    assert django_q.__version__.startswith(".".join(map(str, django_q.VERSION[:3])))


def test_the_wheel_brings_its_data() -> None:
    package = Path(django_q.__file__).parent

    assert (package / "py.typed").exists()
    assert len(list((package / "migrations").glob("0*.py"))) >= 20


def test_the_defaults_of_a_fresh_project_warn_about_nothing(manage: Manage) -> None:
    assert "no issues" in manage("check")
    # What Django says there of DEBUG and of the key is not about us.
    assert "django_q" not in manage("check", "--deploy")
    assert "No changes detected" in manage("makemigrations", "--check", "--dry-run")


def test_a_task_goes_through_the_cluster(manage: Manage) -> None:
    enqueued = manage("shell", "-c", _ENQUEUE)

    log = manage("qcluster", "--run-once")

    assert "WARN" not in log
    assert all("on purpose" in line for line in log.splitlines() if " ERROR " in line)
    assert enqueued.count("id ") == 2
    results = manage("shell", "-c", _RESULTS)
    assert "shop.tasks.fail False on purpose" in results
    assert "shop.tasks.multiply True 42" in results


def test_the_cluster_can_be_looked_at(manage: Manage) -> None:
    assert manage("qinfo")
