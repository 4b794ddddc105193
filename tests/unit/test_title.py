"""What the process list shows of a worker, and that it costs nothing where it shows nothing."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from django_q.brokers import Broker
from django_q.cluster import title
from django_q.cluster.title import Title, title_of
from django_q.tasks import async_task
from tests.unit.desk import Desk, quick_desk

FAIL = "tests.site.tasks.fail"
NOOP = "tests.site.tasks.noop"


@pytest.fixture
def desk(database: str, q_cluster: Callable[..., Any]) -> Iterator[Desk]:
    q_cluster(cluster_name="shop")
    with quick_desk() as made:
        yield made


def enqueue(broker: Broker, func: str, **options: Any) -> None:
    async_task(func, broker=broker, **options)


def test_a_worker_says_what_it_runs(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(title, "setproctitle", shown.append)
    enqueue(desk.broker, NOOP, task_name="first", group="nightly")
    enqueue(desk.broker, FAIL, task_name="second")

    desk.work()

    base = "qcluster shop worker-1"
    tasks = [f"{base} processing first '{NOOP}' [nightly]", f"{base} processing second '{FAIL}'"]
    assert [text for text in shown if "processing" in text] == tasks
    # Between the two, before or after, as the packages come.
    assert set(shown) - {*tasks} <= {f"{base} idle"}


def test_a_worker_that_waits_says_so() -> None:
    shown: list[str] = []

    Title("base", shown.append).show_idle()

    assert shown == ["base idle"]


def test_a_title_is_one_line() -> None:
    shown: list[str] = []

    Title("base", shown.append).show_task("a\nb\0c", "f.g", object())

    assert shown == ["base processing a b c 'f.g'"]


def test_without_the_library_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(title, "setproctitle", None)

    title.set_title("qcluster")

    assert title_of("qcluster") is None
