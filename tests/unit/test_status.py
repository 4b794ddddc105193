"""The heartbeat: what is said, kept and believed."""

import datetime
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import caches
from django.utils import timezone, translation

from django_q import __version__, signing
from django_q.brokers import get_broker
from django_q.brokers.memory import Memory
from django_q.conf import Conf
from django_q.exceptions import PackageRejected
from django_q.package import build_package
from django_q.sealed import open_package, seal_package
from django_q.status import Stat, Status, WorkerState


@pytest.fixture
def broker(q_cluster: Any) -> Iterator[Memory]:
    """A broker that keeps its heartbeats in Django's cache."""
    q_cluster(broker_class="django_q.brokers.memory.Memory")
    caches["default"].clear()
    broker = get_broker()
    assert isinstance(broker, Memory)
    yield broker
    caches["default"].clear()


def make_stat(**values: Any) -> Stat:
    busy = WorkerState(
        pid=12, slot=1, state="busy", task_id="0" * 32, task_name="a-task", func="app.work",
        since=1_700_000_000.0, done=3, rss=50_000_000,
    )  # fmt: skip
    idle = WorkerState(pid=13, slot=2, state="idle")
    values = {"worker_states": [busy, idle], "status": Conf.WORKING} | values
    return Stat(uuid.uuid4(), 10, **values)


def test_a_heartbeat_is_read_back_whole(broker: Memory) -> None:
    born = timezone.now() - datetime.timedelta(minutes=2)
    stat = make_stat(
        tob=born, reincarnations=1, sentinel=10, housekeeper=11, queue="q", broker="Memory",
        task_q_size=4, done_q_size=2,
    )  # fmt: skip

    stat.save(broker)
    found = Stat.get(10, stat.cluster_id, broker)

    assert isinstance(found, Stat)
    assert vars(found) == vars(stat)
    assert found.workers == [12, 13]
    assert found.status == Conf.WORKING
    assert found.version == __version__
    assert 119 < found.uptime() < 150
    assert not found.empty_queues()


def test_one_without_a_heartbeat_is_stopped(broker: Memory) -> None:
    cluster_id = uuid.uuid4()

    found = Stat.get(10, cluster_id, broker)

    assert type(found) is Status
    assert (found.pid, found.cluster_id, found.status) == (10, cluster_id, Conf.STOPPED)
    assert (found.tob, found.workers, found.reincarnations) == (None, [], 0)


def test_the_cluster_id_alone_is_enough(broker: Memory) -> None:
    stat = make_stat()
    stat.save(broker)

    assert Stat.get(stat.cluster_id, broker=broker).pid == 10
    assert Stat.get(str(stat.cluster_id), broker=broker).pid == 10


def test_all_clusters_are_found(broker: Memory) -> None:
    stats = [make_stat(queue=queue) for queue in "cab"]
    for stat in stats:
        stat.save(broker)

    found = Stat.get_all(broker)

    assert [stat.queue for stat in found] == ["a", "b", "c"]
    assert {stat.cluster_id for stat in found} == {stat.cluster_id for stat in stats}


def test_the_broker_of_the_settings_is_asked_by_default(broker: Memory) -> None:
    make_stat().save()

    assert len(Stat.get_all()) == 1


def test_its_name_is_made_of_its_id(broker: Memory) -> None:
    stat = make_stat()

    assert stat.name.count("-") == 3
    assert make_stat(name="given").name == "given"
    assert Status(1, "no uuid").name == "no uuid"


def test_the_status_is_read_in_the_language_of_the_reader(broker: Memory) -> None:
    with translation.override("de"):
        # As the text of the moment, which another language would not know again.
        stat = make_stat(status=str(Conf.STOPPING))
        stat.save(broker)

    found = Stat.get(stat.cluster_id, broker=broker)

    assert found.status == Conf.STOPPING
    assert found.status == "Stopping"


@pytest.mark.parametrize(("cycle", "seconds"), [(0.5, 3), (1.0, 3), (1.2, 4), (30, 90)])
def test_it_lives_for_three_beats_in_whole_seconds(
    broker: Memory, cycle: float, seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Conf, "GUARD_CYCLE", cycle)
    kept: list[Any] = []
    monkeypatch.setattr(broker, "set_stat", lambda *args: kept.append(args))
    stat = make_stat()

    stat.save(broker)

    key, text, timeout = kept[0]
    assert key == stat.key == Stat.get_key(stat.cluster_id)
    assert key == f"django_q:default:cluster:{stat.cluster_id}"
    assert isinstance(text, str)
    assert (timeout, type(timeout)) == (seconds, int)


def test_what_cannot_be_unsealed_is_passed_over(
    broker: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = make_stat()
    good.save(broker)
    genuine = broker.get_stat(good.key)
    assert genuine is not None
    others = [
        "nonsense", "", None, 5, genuine[:-1] + "!",
        signing.SignedPackage.dumps({"cluster_id": 1}),
        signing.seal("not a dict", "stat", ""),
        signing.seal({"host": "without an id"}, "stat", ""),
        genuine,
    ]  # fmt: skip
    monkeypatch.setattr(broker, "get_stats", lambda pattern: others)

    assert [stat.cluster_id for stat in Stat.get_all(broker)] == [good.cluster_id]


def test_a_task_is_not_taken_for_a_heartbeat(broker: Memory) -> None:
    package = build_package("tests.site.tasks.noop", (), {}, {})
    cluster_id = uuid.uuid4()
    broker.set_stat(Stat.get_key(cluster_id), seal_package(package, broker.list_key), 3)

    assert type(Stat.get(cluster_id, broker=broker)) is Status
    assert Stat.get_all(broker) == []


def test_a_heartbeat_is_not_taken_for_a_task(broker: Memory) -> None:
    stat = make_stat()
    stat.save(broker)
    text = broker.get_stat(stat.key)
    assert text is not None

    for queue in ("", broker.list_key):
        with pytest.raises(PackageRejected, match="signature"):
            open_package(text, queue)


def test_a_heartbeat_of_another_version_is_read_as_far_as_it_goes(broker: Memory) -> None:
    cluster_id = uuid.uuid4()
    values = {"cluster_id": cluster_id, "pid": 7, "status": "DREAMING", "mood": "fine"}
    broker.set_stat(Stat.get_key(cluster_id), signing.seal(values, "stat", ""), 3)

    (found,) = Stat.get_all(broker)

    assert (found.pid, found.status) == (7, "DREAMING")
    assert not hasattr(found, "mood")


def test_a_value_that_a_stat_does_not_have_is_an_error() -> None:
    with pytest.raises(TypeError, match="Stat has no mood"):
        make_stat(mood="fine")


def test_a_new_stat_has_nothing_waiting_and_no_past() -> None:
    stat = Stat(uuid.uuid4(), 1)

    assert stat.empty_queues()
    assert stat.uptime() == 0
