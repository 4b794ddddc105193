"""What was wrong with Django Q apart from a cluster at work, and how it is now; one test for each.

The number above a test is the defect's in the list that this project was begun with. Those of the
schedules have it in their names (`pytest -k "d7 or d8 or d25 or d28"`), and for D22 see also
`tests/unit/test_recorder_books.py`.
"""

import base64
import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.cache import caches
from django.db import connection
from django.db.models import TextField
from django.db.models.functions import Cast
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from picklefield.fields import dbsafe_encode

from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.exceptions import TaskFailed, TaskNotDone, UnreadableValue
from django_q.models import OrmQ, Task, Tracked
from django_q.results.pruning import prune
from django_q.sealed import open_package
from django_q.stored import is_signed
from django_q.tasks import (
    async_iter,
    async_task,
    async_tasks,
    fetch,
    result,
    result_or_raise,
    schedule,
)
from tests.waiting import wait_until

Start = Callable[..., Any]


# D15
def test_a_signal_at_any_moment_stops_the_cluster(
    database: str, q_cluster: Start, cluster: Start
) -> None:
    q_cluster(orm=database, workers=2)
    # From before anything is set up to well after the start: a boot takes half a second.
    clusters = [cluster(wait=False) for _ in range(4)]

    for delay, started in enumerate(clusters):
        time.sleep(0.1 * delay)
        started.popen.send_signal(signal.SIGTERM)

    for started in clusters:
        # One that Python had not begun to listen yet dies of the signal itself.
        assert started.wait(15) in (0, -signal.SIGTERM)
        assert not started.family()


# D16
def test_a_stop_does_not_wait_for_what_only_waits(
    database: str, q_cluster: Start, cluster: Start, tmp_path: Path
) -> None:
    q_cluster(orm=database, workers=1)
    path = tmp_path / "trace"
    async_tasks("tests.site.tasks.record", [(str(path), n, 2.0) for n in range(12)])
    started = cluster()
    wait_until(path.exists, what="the first task")

    began = time.monotonic()
    assert started.stop() == 0

    assert time.monotonic() - began < 4
    done = path.read_text().count("end")
    assert done in (1, 2)
    assert get_broker().queue_size() == 12 - done


# D18
def test_pruning_reads_no_rows_and_locks_none(database: str, q_cluster: Start) -> None:
    q_cluster(orm=database, sync=True)
    async_tasks("tests.site.tasks.give_bytes", [100_000] * 20)

    with CaptureQueriesContext(connection) as queries:
        prune(5, None)

    assert Task.objects.count() == 5
    text = " ".join(query["sql"] for query in queries)
    assert "FOR UPDATE" not in text
    assert '"result"' not in text
    assert len(queries) < 10


# D23
def test_two_clusters_lose_nothing_of_an_iteration(
    database: str, redis_url: str, q_cluster: Start, cluster: Start
) -> None:
    q_cluster(redis=redis_url, workers=2)
    for started in [cluster(wait=False), cluster(wait=False)]:
        started.wait_ready()

    iterations = [
        async_iter("tests.compat.listeners.odd", range(40), group=f"g{n}") for n in range(3)
    ]

    for iteration in iterations:
        values = result(iteration, wait=20_000)
        assert [int(value) for value in values[1::2]] == list(range(1, 40, 2))
        assert all("is even : Traceback" in value for value in values[::2])


# D24
def test_not_yet_none_and_failed_are_told_apart(database: str, q_cluster: Start) -> None:
    q_cluster(orm=database)
    with pytest.raises(TaskNotDone, match="has not ended"):
        result_or_raise("never sent")
    q_cluster(orm=database, sync=True)

    nothing = async_task("tests.site.tasks.noop", task_name="twice")
    with pytest.raises(ValueError, match="on purpose"):
        async_task("tests.site.tasks.fail", task_name="twice")

    assert result_or_raise(nothing) is None
    with pytest.raises(TaskFailed, match="on purpose : Traceback") as caught:
        result_or_raise("twice")  # of two with one name the newest
    assert (caught.value.task.status, fetch(nothing).status) == ("failed", "success")  # type: ignore[union-attr]


# D27
def test_a_name_chooses_the_queue_and_needs_no_alternatives(
    database: str, q_cluster: Start, cluster: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    q_cluster(orm=database, workers=1)
    cluster("-n", "mails", wait=False)
    monkeypatch.setenv("Q_CLUSTER_NAME", "reports")
    cluster(wait=False)
    monkeypatch.delenv("Q_CLUSTER_NAME")

    ids = [async_task("tests.site.tasks.noop", cluster=name) for name in ("mails", "reports")]

    tasks = [fetch(task_id, wait=15_000) for task_id in ids]
    assert [task and task.cluster for task in tasks] == ["mails", "reports"]
    # And settings are read when they are used.
    q_cluster(orm=database, retry=7)
    assert Conf.RETRY == 7


# D29
def test_in_place_a_failure_is_saved_and_the_alarm_is_left_alone(
    database: str, q_cluster: Start
) -> None:
    q_cluster(orm=database, sync=True, timeout=5)

    def own(number: int, frame: Any) -> None: ...

    before = signal.signal(signal.SIGALRM, own)
    signal.setitimer(signal.ITIMER_REAL, 60)
    try:
        with pytest.raises(ValueError, match="on purpose"):
            async_task("tests.site.tasks.fail")
        assert signal.getsignal(signal.SIGALRM) is own
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 50
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert not Task.objects.get().success
    assert Task.objects.get().stopped <= timezone.now()


# D30
def test_replaced_keys_are_read_and_nothing_is_kept_as_an_unsigned_pickle(
    database: str, q_cluster: Start
) -> None:
    q_cluster(orm=database, sync=True, track=True)
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    done = async_task("tests.site.tasks.echo", {1}, key=moment)
    with pytest.raises(ValueError, match="on purpose"):
        async_task("tests.site.tasks.fail")
    assert result(async_iter("math.factorial", [3, 4])) == [6, 24]
    waits = async_task("tests.site.tasks.echo", {2}, key=moment, sync=False)
    async_task("tests.site.tasks.echo", {3}, key=moment, sync=False, delay=9)
    schedule("tests.site.tasks.echo", {4}, key=moment)

    assert _unsigned_pickles() == []
    old = Conf.SECRET_KEY
    with override_settings(SECRET_KEY="new"):
        with pytest.raises(UnreadableValue, match="SECRET_KEY_FALLBACKS"):
            result(done)
        with override_settings(SECRET_KEY_FALLBACKS=[old]):
            assert result(done) == (({1},), {"key": moment})
            payload = OrmQ.objects.get(lock__lte=timezone.now()).payload
            assert open_package(payload, "default")["id"] == waits
    # What Django Q kept would have been noticed.
    Tracked.objects.update(args=dbsafe_encode({5}))
    assert _unsigned_pickles() == ["args", "args"]


def _unsigned_pickles() -> list[str]:
    """The columns that hold one, once for each row, in all tables."""
    found = []
    for model in apps.get_app_config("django_q").get_models():
        for field in model._meta.concrete_fields if not model._meta.proxy else ():
            texts = model.objects.values_list(Cast(field.name, TextField()), flat=True)
            found += [field.name for text in texts if text and _is_unsigned_pickle(text)]
    return found


def _is_unsigned_pickle(text: str) -> bool:
    if is_signed(text) or not text.isascii():
        return False
    try:
        # Protocol 2 and later begin so.
        return base64.b64decode(text).startswith(b"\x80")
    except ValueError:
        return False


# D31
def test_dead_heartbeats_hide_no_live_ones(redis_url: str, q_cluster: Start) -> None:
    q_cluster(broker_class="django_q.brokers.memory.Memory")
    broker = get_broker()
    caches["default"].clear()
    for number in range(6):
        broker.set_stat(f"{Conf.Q_STAT}:{number}", str(number), 60)
    for number in (0, 1, 2, 4):  # neighbours, which a loop over a shrinking list skips
        caches["default"].delete(f"{Conf.Q_STAT}:{number}")
    assert sorted(broker.get_stats(f"{Conf.Q_STAT}:*")) == ["3", "5"]
    caches["default"].clear()

    q_cluster(redis=redis_url)
    broker = get_broker()
    broker.connection.config_resetstat()
    broker.set_stat(f"{Conf.Q_STAT}:1", "alive", 60)
    assert broker.get_stats(f"{Conf.Q_STAT}:*") == ["alive"]
    assert "cmdstat_keys" not in broker.connection.info("commandstats")


# D33
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_cluster_needs_no_fork_and_few_processes(
    database: str, q_cluster: Start, cluster: Start, method: str
) -> None:
    q_cluster(orm=database, workers=1, start_method=method)
    started = cluster()

    task = fetch(async_task("tests.site.tasks.process"), wait=15_000)

    assert task is not None and task.result != os.getpid()
    # A worker and the housekeeper beside the supervisor; the rest is Python's own.
    assert len([c for c in started.children() if c.pid != task.result]) <= 3
    assert started.stop() == 0
