"""How a cluster begins, and what it says when it cannot."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_q.brokers import get_broker
from django_q.exceptions import BrokerUnavailable
from django_q.tasks import async_task
from tests.cluster.ground import wait_task
from tests.processes import ClusterProcess
from tests.servers import Valkey
from tests.waiting import wait_until

Start = Callable[..., Any]

#: Fails in the children, which set Django up themselves; not where the command does.
BROKEN = """
import multiprocessing
if multiprocessing.parent_process() is not None:
    import module_that_was_forgotten
"""
#: Dies in the first three children, without a word.
FRAIL = """
import multiprocessing, os
if multiprocessing.parent_process() is not None:
    with open("tries", "a+") as tries:
        tries.write("x")
        tries.seek(0)
        if len(tries.read()) <= 3:
            os._exit(3)
"""
#: Starts a thread while the project is loaded.
THREADED = """
import threading, time
threading.Thread(target=time.sleep, args=(600,), name="sampler", daemon=True).start()
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Function that adds an app of this source to the clusters that start from now on."""

    def add(source: str) -> None:
        (tmp_path / "added").mkdir()
        (tmp_path / "added" / "__init__.py").write_text(source)
        monkeypatch.setenv("TEST_APPS", "added")

    return add


def test_wrong_settings_end_it_with_the_reason(
    database: str, redis_url: str, cluster: Start
) -> None:
    started: ClusterProcess = cluster(wait=False, redis=redis_url, workers="many")

    assert started.wait() == 1
    assert "Q_CLUSTER[\"workers\"] is 'many'" in started.log()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"redis": {"hots": "127.0.0.1"}}, "unexpected keyword argument 'hots'"),
        ({"redis": "127.0.0.1:6379"}, "is not a URL of Redis"),
        ({"django_redis": "default"}, "is not one of django-redis"),
        ({"sqs": {"aws_regoin": "eu-west-1"}}, '"aws_regoin"'),
    ],
    ids=["keyword", "url", "cache", "sqs"],
)
def test_settings_that_only_the_broker_understands_end_it_too(
    settings: dict[str, object], words: str, database: str, cluster: Start
) -> None:
    started: ClusterProcess = cluster(wait=False, **settings)

    assert started.wait() == 1
    assert words in started.log()
    assert "Traceback" not in started.log()


def test_an_impossible_number_of_workers_ends_it(
    database: str, redis_url: str, cluster: Start
) -> None:
    started: ClusterProcess = cluster("--workers", "0", wait=False, redis=redis_url)

    assert started.wait() == 1
    assert "--workers is 0" in started.log()


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_child_that_cannot_be_loaded_stops_the_cluster_with_the_real_error(
    method: str, database: str, redis_url: str, cluster: Start, app: Callable[[str], None]
) -> None:
    app(BROKEN)

    started: ClusterProcess = cluster(wait=False, redis=redis_url, workers=2, start_method=method)

    assert started.wait(15) == 1
    assert "No module named 'module_that_was_forgotten'" in started.log()
    assert "could not start, so the cluster stops" in started.log()
    # Python's own helper processes end a moment later.
    wait_until(lambda: not started.family(), what="the end of the last")


def test_children_that_die_while_they_start_are_started_again_after_a_pause(
    database: str, redis_url: str, q_cluster: Start, cluster: Start, app: Callable[[str], None]
) -> None:
    app(FRAIL)
    q_cluster(redis=redis_url, workers=2, start_method="spawn")

    started: ClusterProcess = cluster()

    assert started.log().count("died while it started (exit code 3); the next try is in") == 3
    assert wait_task(async_task("tests.site.tasks.add", 1, 2)).result == 3
    assert started.stop() == 0


def test_threads_of_an_app_lead_to_another_start_method(
    database: str, redis_url: str, q_cluster: Start, cluster: Start, app: Callable[[str], None]
) -> None:
    app(THREADED)
    q_cluster(redis=redis_url, workers=1, start_method=None)

    started: ClusterProcess = cluster()

    assert "Threads run in this process (sampler), so a fork is not safe" in started.log()
    assert wait_task(async_task("tests.site.tasks.add", 1, 2)).result == 3
    assert started.stop() == 0


def test_nothing_configured_and_no_redis_fails_at_once(
    database: str, q_cluster: Start, cluster: Start
) -> None:
    with socket.socket() as probe:
        if probe.connect_ex(("localhost", 6379)) == 0:
            pytest.skip("a Redis answers on this machine")
    q_cluster(workers=1)

    started: ClusterProcess = cluster(wait=False)
    with pytest.raises(BrokerUnavailable) as caught:
        async_task("tests.site.tasks.noop")

    assert started.wait(10) == 1
    for text in (started.log(), str(caught.value)):
        assert "localhost:6379" in text
        assert 'Q_CLUSTER = {"orm": "default"}' in text
    assert "Traceback" not in started.log()


def test_a_broker_that_only_one_process_sees_is_refused(database: str, cluster: Start) -> None:
    memory = "django_q.brokers.memory.Memory"

    started: ClusterProcess = cluster(wait=False, broker_class=memory)

    assert started.wait(10) == 1
    assert "keeps packages in one process" in started.log()


def test_a_configured_server_that_is_away_is_waited_for(
    database: str, q_cluster: Start, cluster: Start
) -> None:
    server = Valkey().start()
    server.kill()
    try:
        q_cluster(redis=server.url, workers=2)
        started: ClusterProcess = cluster()
        started.wait_log("The cluster starts and keeps trying")
        started.wait_log("cannot be reached: .*Next try in")
        with pytest.raises(BrokerUnavailable, match=f"127.0.0.1:{server.port}"):
            async_task("tests.site.tasks.noop")

        server.restart()

        task_id = async_task("tests.site.tasks.add", 1, 2)
        assert wait_task(task_id, 8).result == 3
        started.wait_log("The broker answers again")
        assert started.stop() == 0
    finally:
        server.stop()


def test_a_database_without_tables_is_waited_for_with_the_command_that_makes_them(
    database: str,
    q_cluster: Start,
    cluster: Start,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "empty").mkdir()
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TEST_DIR", str(tmp_path / "empty"))
        started: ClusterProcess = cluster(orm="default", workers=1)

    started.wait_log("Run manage.py migrate")
    assert started.stop() == 0


def test_clusters_of_one_queue_start_and_stop_at_once(
    database: str, redis_url: str, q_cluster: Start, cluster: Start
) -> None:
    q_cluster(redis=redis_url, workers=1)
    clusters = [cluster(wait=False) for _ in range(3)]
    for started in clusters:
        started.wait_ready()

    assert [started.stop() for started in clusters] == [0, 0, 0]
    wait_until(lambda: get_broker().lock_size() == 0)
