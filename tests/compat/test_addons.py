"""Add-ons for django-q2 from the package index work as they are, beside ours.

They are installed without what they depend on, in an environment of their own.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.compat.environments import Project
from tests.waiting import wait_until


@pytest.fixture
def project(addons: Callable[..., Project]) -> Project:
    """The project with its cluster."""
    made = addons(workers=2, guard_cycle=0.2)
    made.start_cluster()
    return made


def test_registry_plans_and_its_tasks_run(project: Project) -> None:
    plans = project.do("plan")

    ping, total = sorted(plans, key=lambda plan: str(plan["func"]), reverse=True)
    assert (ping["name"], ping["cron"]) == ("every five - QREGISTRY", "*/5 * * * *")
    # Due at once: the cluster may have run it the first time before we looked.
    assert (total["name"], total["repeats"]) in [("a sum - QREGISTRY", left) for left in (3, 2)]
    assert json.loads(total["kwargs"].replace("'", '"')) == {"first": 20, "second": 22}
    assert project.do("run_plan", "every five - QREGISTRY") == "pong"
    assert project.do("run_plan", "a sum - QREGISTRY") == 42


def test_email_backends_send_through_the_cluster(project: Project, tmp_path: Path) -> None:
    for backend in ("django_q2_email_backend.backends.Q2EmailBackend",
                    "django_q_email.backends.DjangoQBackend"):  # fmt: skip
        assert project.do("mail", backend), project.log()

    texts = [mail.read_text() for mail in (tmp_path / "mails").iterdir()]
    assert len(texts) == 2
    for text in texts:
        assert "Subject: subject" in text and "<b>fat</b>" in text and "attached" in text


def test_signals_lets_the_cluster_call_receivers(project: Project) -> None:
    assert project.do("save_user") == ["hello ada, True", 3]


def test_watchdog_sees_what_runs_and_forgets_what_ended(project: Project) -> None:
    def running() -> list[str]:
        return [record["name"] for record in project.do("watch")["tasks"]]

    task = project.do("send_named", "time.sleep", "a nap", 2.5)
    wait_until(lambda: running() == ["a nap"], 10, what="the watchdog's record")
    began = time.monotonic()
    assert project.do("tell", task)["status"] == "success"
    killer = project.do("send_named", "tests.site.tasks.kill_self", "a killer")
    told = project.do("tell", killer)
    assert told["status"] == "failed" and "ended its worker 3 times" in told["result"]

    wait_until(lambda: running() == [], 5, what="no record")

    assert time.monotonic() - began < 60


def test_singleton_is_an_empty_package_that_can_be_imported(project: Project) -> None:
    assert project.do("version", "django_q_singleton") == "0.0.1"


def test_sentry_and_rollbar_are_told_of_a_failure(
    addons: Callable[..., Any], collector: tuple[str, list[dict[str, Any]]]
) -> None:
    url, posts = collector
    host = url.removeprefix("http://")
    reporters = {
        "sentry": {"dsn": f"http://key@{host}/1", "send_default_pii": False},
        "rollbar": {
            "access_token": "token",
            "environment": "tests",
            "endpoint": f"{url}/rollbar/",
            "handler": "blocking",
        },
    }
    project = addons(error_reporter=reporters)
    project.start_cluster()

    failing = project.do("send_named", "operator.truediv", "a failure", 1, 0)

    assert project.do("tell", failing)["result"].startswith("division by zero : Traceback")
    wait_until(lambda: len(posts) >= 2, 15, what=f"two reports\n{project.log()}")
    sentry, rollbar = sorted(posts, key=lambda post: "rollbar" in post["path"])
    assert "ZeroDivisionError" in sentry["text"] and "ZeroDivisionError" in rollbar["text"]
    # It finds the task in the frames of the error.
    assert failing in sentry["text"] and "a failure" in sentry["text"]
