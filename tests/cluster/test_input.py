"""Bad packages, bad results, bad receivers and hooks: each fails alone, everything else goes on."""

import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_q import signing
from django_q.brokers import get_broker
from django_q.models import Rejected, Task
from django_q.package import build_package
from django_q.tasks import async_task, async_tasks, result
from tests.cluster.ground import (
    RETRY,
    on,
    on_all_when_long,
    stat_of,
    wait_empty,
    wait_rows,
    wait_task,
)
from tests.cluster.trace import Trace
from tests.site import tasks
from tests.waiting import wait_until

Start = Callable[..., Any]


def opening(function: Any, *args: Any) -> str:
    """A sealed task that calls the function while it is opened."""
    package = build_package(
        "tests.site.tasks.noop", (tasks.RunsWhenOpened(function, *args),), {}, {}
    )
    return signing.seal(package, "task", "default")


def of_a_missing_module() -> str:
    """A sealed task with an argument whose module nobody has."""
    module = types.ModuleType("module_of_yesterday")
    exec("def factory(): return 1", module.__dict__)  # noqa: S102
    sys.modules[module.__name__] = module
    try:
        return opening(module.__dict__["factory"])
    finally:
        del sys.modules[module.__name__]


@on("redis", "postgres")
def test_packages_that_cannot_be_opened_are_rejected_once(
    place: dict[str, Any], q_cluster: Start, cluster: Start, trace: Trace
) -> None:
    q_cluster(**place, workers=2, retry=RETRY, open_timeout=0.5, grace=0.5, max_deaths=2)
    sealed = signing.seal(build_package("tests.site.tasks.noop", (), {}, {}), "task", "default")
    reasons = {
        "Opening the package ran longer than its limit": opening(tasks.busy),
        "Opening it ended 1 workers: it took longer": opening(tasks.swallow_everything),
        "Opening it ended 2 workers: it died of signal SIGKILL": opening(tasks.kill_self),
        "Opening it raised SystemExit": opening(tasks.leave, 3),
        "Opening it raised KeyboardInterrupt": opening(tasks.interrupt),
        "No module named 'module_of_yesterday'": of_a_missing_module(),
        "signature does not match": f"{sealed[:-6]}AAAAAA",
        "The package holds a list": signing.seal([1, 2], "task", "default"),
        "no usable 'args'": signing.seal({"id": "a" * 32, "name": "a"}, "task", "default"),
        "does not match (No ": "what is this?",
    }
    broker = get_broker()
    for n, payload in enumerate(reasons.values()):
        broker.enqueue(payload)
        async_tasks("tests.site.tasks.record", [(trace.path, f"{n}.{i}") for i in range(5)])

    cluster()

    wait_until(lambda: Rejected.objects.count() == len(reasons), 30, what="all rejected")
    wait_empty()
    assert set(trace.started().values()) == {1}
    assert len(trace.ended()) == 5 * len(reasons)
    assert not Task.objects.filter(success=False).exists()
    for reason, payload in reasons.items():
        assert reason in Rejected.objects.get(payload=payload).reason


def test_outcomes_of_every_kind(
    database: str, redis_url: str, q_cluster: Start, cluster: Start
) -> None:
    q_cluster(redis=redis_url, workers=2, save_limit=0)
    cluster()
    big = b"x" * 10 * 2**20

    good = {
        async_task("tests.site.tasks.answer"): 42,
        async_task("tests.site.odd.size", big): len(big),
        async_task("tests.site.tasks.echo", 1, q_options={"task_name": "named"}, a=2): (
            (1,),
            {"a": 2},
        ),
        async_task("tests.site.tasks.give_bytes", 10 * 2**20): bytes(10 * 2**20),
        async_task("tests.site.tasks.noop"): None,
    }
    bad = {
        async_task("tests.site.tasks.fail", "so"): "so : Traceback",
        async_task("tests.site.tasks.fail_later", "async"): "async : Traceback",
        async_task("tests.site.tasks.leave", 3): "3 : Traceback",
        async_task("tests.site.tasks.interrupt"): "KeyboardInterrupt",
        async_task("tests.site.tasks.give_lambda"): "The result (function) could not be stored",
        async_task("tests.site.tasks.give_generator"): "The result (generator) could not be stored",
        async_task("tests.site.tasks.give_socket"): "The result (socket) could not be stored",
        async_task("tests.site.tasks.not_there"): "'tests.site.tasks.not_there' cannot be found",
        async_task("no.such.module"): "'no.such.module' cannot be found",
        async_task("tests.site.tasks.write"): "missing 2 required positional arguments",
    }

    for task_id, value in good.items():
        assert result(task_id, wait=20_000) == value
    for task_id, text in bad.items():
        row = wait_task(task_id)
        assert not row.success
        assert text in row.result
    wait_empty()


@on_all_when_long("redis", "postgres")
def test_hooks_are_called_once_whatever_is_saved(
    place: dict[str, Any], q_cluster: Start, cluster: Start, hooks_file: Path
) -> None:
    q_cluster(**place, workers=2, retry=RETRY, save_limit=-1, cache="shared")
    hook = "tests.site.tasks.write_hook"
    names = {
        "unsaved": {},
        "saved": {"save": True},
        "cached": {"cached": 30},
        "failed": {"wrong": True},
    }
    for name, options in names.items():
        function = "fail" if options.pop("wrong", False) else "noop"
        async_task(f"tests.site.tasks.{function}", hook=hook, task_name=name, **options)
    async_task("tests.site.tasks.noop", hook="tests.site.tasks.failing_hook", task_name="bad hook")
    async_task("tests.site.tasks.noop", hook="tests.site.tasks.not_there", task_name="no hook")
    async_task("tests.site.tasks.noop", hook=hook, task_name="last")

    started = cluster()

    expected = {f"hook {name} {name != 'failed'}" for name in [*names, "last"]}
    wait_until(lambda: set(_lines(hooks_file)) >= expected, what="all hooks")
    wait_empty()
    assert len(_lines(hooks_file)) == len(expected)
    assert set(Task.objects.values_list("name", flat=True)) == {"saved", "failed"}
    assert result("cached", cached=True) is None
    started.wait_log(r"hook of bad hook .* raised")
    started.wait_log(r"hook of no hook .* raised")


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_cached_results_are_kept_in_the_cache_only(
    database: str, redis_url: str, q_cluster: Start, cluster: Start
) -> None:
    q_cluster(redis=redis_url, workers=1, cache="shared")
    cluster()

    task_id = async_task("tests.site.tasks.add", 1, 2, cached=60)

    assert result(task_id, wait=10_000, cached=True) == 3
    wait_empty()
    assert not Task.objects.exists()


def test_receivers_that_fail_hurt_nothing(
    database: str,
    redis_url: str,
    q_cluster: Start,
    cluster: Start,
    trace: Trace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEST_APPS", "tests.site.noisy")
    monkeypatch.setenv("TEST_NOISE", trace.path)
    q_cluster(redis=redis_url, workers=1)
    started = cluster()

    task_id = async_task("tests.site.tasks.add", 1, 2, task_name="a")
    failing = async_task("tests.site.tasks.fail", task_name="b")

    assert wait_task(task_id).result == 3
    assert not wait_task(failing).success
    wait_empty()
    wait_until(lambda: "post_execute b" in Path(trace.path).read_text(), what="the last one")
    heard = Path(trace.path).read_text().splitlines()
    assert heard == [
        "post_spawn worker-1",
        *(f"{name} a" for name in ("pre_execute", "post_execute_in_worker", "post_execute")),
        *(f"{name} b" for name in ("pre_execute", "post_execute_in_worker", "post_execute")),
    ]
    assert started.log().count("The signal receiver tests.site.noisy") == len(heard)
    assert len(stat_of(started).workers) == 1


def test_packages_of_django_q2_are_opened(
    database: str, redis_url: str, q_cluster: Start, cluster: Start
) -> None:
    q_cluster(redis=redis_url, workers=1)
    package = build_package("tests.site.tasks.add", (1, 2), {}, {})

    get_broker().connection.rpush("django_q:default:q", signing.SignedPackage.dumps(package))
    cluster()

    assert wait_task(package["id"]).result == 3


def test_a_failed_task_that_is_not_acknowledged_comes_back(
    database: str, redis_url: str, q_cluster: Start, cluster: Start, tmp_path: Path
) -> None:
    q_cluster(redis=redis_url, workers=1, retry=0.3, ack_failures=False, max_attempts=20)
    cluster()
    path = str(tmp_path / "tries")

    task_id = async_task("tests.site.tasks.fail_until", path, 14)

    # More often than `max_lost`: a failure is no lost lease.
    wait_until(lambda: wait_task(task_id).success, 30, what="the success")
    assert wait_task(task_id).result == 14
    wait_empty()


def test_a_big_batch_does_not_wait_for_its_bad_part(
    database: str, redis_url: str, q_cluster: Start, cluster: Start
) -> None:
    """One outcome that the database refuses becomes a failed row; its neighbours are saved."""
    q_cluster(redis=redis_url, workers=1, save_limit=0)
    ids = async_tasks("tests.site.tasks.add", [(n, 0) for n in range(50)])
    twice = Task(id=ids[7], name="x", func="x", success=True, result="first")
    twice.started = twice.stopped = "2020-01-01T00:00:00Z"
    twice.save()

    started = cluster()

    wait_rows(50, pk__in=ids, success=True)
    wait_empty()
    assert Task.objects.get(pk=ids[7]).result == "first"
    started.wait_log(f"{ids[7]}.* ran twice")


@pytest.mark.alone
def test_what_is_enqueued_while_it_is_busy_waits_no_longer_than_needed(
    database: str, redis_url: str, q_cluster: Start, cluster: Start
) -> None:
    q_cluster(redis=redis_url, workers=1)
    cluster()
    took = []

    for n in range(20):
        began = time.monotonic()
        assert result(async_task("tests.site.tasks.add", n, n), wait=5_000) == 2 * n
        took.append(time.monotonic() - began)

    assert sorted(took)[10] < 0.2
