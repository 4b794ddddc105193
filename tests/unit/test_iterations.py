"""Parts of iterations, ours and those of a django-q2 producer, and what collects them."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import caches
from django.utils import timezone

from django_q.composition import async_iter
from django_q.exceptions import FailedResult
from django_q.iterations import collector, is_part, part_of
from django_q.models import GatheredPart, Gathering, OrmQ, Task
from django_q.package import Outcome, TaskPackage, build_package
from django_q.recorder import Record, make_stores, prepare, record
from django_q.results import gatherings
from django_q.results.base import encode_row
from django_q.sealed import open_package
from django_q.signing import SignedPackage
from django_q.workflows import async_group
from tests.site import databases, tasks

pytestmark = pytest.mark.usefixtures("database")

ITERATION = "c" * 32


def foreign(number: int, **options: Any) -> TaskPackage:
    """A part as django-q2 sends it; the elements come a little after one another."""
    marks = {"group": ITERATION, "iter_count": 3, "cached": True}
    package = build_package(tasks.echo, (number,), {}, marks | options)
    package["started"] = timezone.now() + timedelta(microseconds=50 * number)
    return package


def prepared(package: TaskPackage, result: Any, success: bool = True) -> Record:
    """The record of a part."""
    now = timezone.now()
    outcome = Outcome(package, success, result, now, now, None if success else ValueError(result))
    return prepare(outcome)[1]


def finish(package: TaskPackage, result: Any, success: bool = True) -> None:
    """Keep the outcome of a part."""
    record([prepared(package, result, success)], make_stores())


def test_parts_of_django_q2_come_together(q_cluster: Any) -> None:
    q_cluster(orm="default")
    parts = [foreign(number) for number in range(3)]

    for number in (2, 0, 1, 0):  # one is delivered twice
        finish(parts[number], number * 10)

    (ready,) = gatherings.complete([ITERATION])
    follower = open_package(ready.payload, "default")
    assert (follower["id"], follower["args"], ready.queue) == (ITERATION, (ITERATION,), "default")
    assert follower["shown_as"] == "tests.site.tasks.echo"
    assert "cached" not in follower
    assert gatherings.gather(ITERATION) == [0, 10, 20]
    assert not Task.objects.exists()
    assert caches["default"].get(f"django_q:default:result:{parts[0]['id']}") is None


def test_a_list_that_was_wanted_from_the_cache_goes_there(q_cluster: Any) -> None:
    q_cluster(orm="default")

    finish(foreign(1, iter_cached=60), "value")

    payload = Gathering.objects.get().payload
    assert open_package(payload, "default")["cached"] == 60


def test_a_failed_part_is_marked_in_the_list(q_cluster: Any) -> None:
    q_cluster(orm="default")
    finish(foreign(0), "too bad : Traceback", success=False)

    (value,) = gatherings.gather(ITERATION)

    assert isinstance(value, gatherings.FailedResult)
    assert Task.objects.get().success is False


@pytest.mark.parametrize(
    "options", [{}, {"group": "g"}, {"iter_count": 3}, {"group": "g", "iter_count": 0}]
)
def test_other_tasks_are_no_parts(options: dict[str, Any], q_cluster: Any) -> None:
    q_cluster(orm="default")
    package = build_package(tasks.noop, (), {}, options)
    now = timezone.now()

    assert not is_part(package)
    assert part_of(package, encode_row(Outcome(package, True, None, now, now))) is None


def test_the_collecting_task_has_the_id_of_the_iteration(q_cluster: Any) -> None:
    q_cluster(orm="default")

    package = collector(ITERATION, "shop.tasks.half", {"group": "g"})

    assert (package["id"], package["args"], package["group"]) == (ITERATION, (ITERATION,), "g")
    assert (package["derived"], package["shown_as"]) == (True, "shop.tasks.half")


def test_beside_old_clusters_parts_are_sent_as_they_know_them(q_cluster: Any) -> None:
    q_cluster(orm="default", legacy="write")
    caches["default"].clear()

    iteration = async_iter(tasks.echo, iter([1, (2, 3)]), cached=30, hook=tasks.write_hook)

    packages = [SignedPackage.loads(row.payload) for row in OrmQ.objects.order_by("id")]
    assert [package["args"] for package in packages] == [(1,), (2, 3)]
    for package in packages:
        assert (package["group"], package["iter_count"]) == (iteration, 2)
        assert (package["cached"], package["iter_cached"]) == (True, 30)
        assert "gather" not in package and "hook" not in package
    kept = caches["default"].get(f"default:{iteration}:args")
    assert SignedPackage.loads(kept) == [1, (2, 3)]
    assert not Gathering.objects.exists()
    caches["default"].clear()


def old_gathering(number: int, days: float, **values: Any) -> str:
    """A gathering that was begun so many days ago, with no part."""
    id = f"{number:032x}"
    created = timezone.now() - timedelta(days=days)
    values.setdefault("until", created + timedelta(days=7))
    Gathering.objects.create(id=id, queue="default", payload="", created=created, **values)
    return id


def part(gathering: str, days: float) -> None:
    """Keep a part that came so many days ago."""
    created = timezone.now() - timedelta(days=days)
    GatheredPart.objects.create(gathering=gathering, position=0, success=True, created=created)


def test_a_gathering_goes_a_week_after_its_last_part(database: str) -> None:
    young, over, of_before = (
        old_gathering(1, 6),
        old_gathering(2, 8),
        old_gathering(3, 8, until=None),
    )
    at_work, long_over = old_gathering(4, 30), old_gathering(5, 30)
    for gathering, days in ((over, 7.5), (of_before, 7.5), (at_work, 6), (long_over, 8)):
        part(gathering, days)

    assert gatherings.drop_old() == 3

    assert set(Gathering.objects.values_list("pk", flat=True)) == {young, at_work}
    assert GatheredPart.objects.get().gathering == at_work


def test_parts_that_come_when_all_is_over_go_too(database: str) -> None:
    part("a" * 32, 8)
    part("b" * 32, 6)  # its producer's transaction may be open still

    gatherings.drop_old()

    assert GatheredPart.objects.get().gathering == "b" * 32


def test_more_than_a_batch_goes(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gatherings, "_BATCH", 2)
    for number in range(5):
        old_gathering(number, 8)
        part(f"{number:032d}", 8)

    assert gatherings.drop_old() == 5
    assert not GatheredPart.objects.exists()


@pytest.mark.parametrize("database", databases.ALIASES, indirect=True)
def test_what_starts_in_a_month_is_kept_a_month_and_a_week(database: str, q_cluster: Any) -> None:
    q_cluster(orm="default")
    in_a_month = timezone.now() + timedelta(days=30)
    group = async_group(
        [(tasks.echo, (1,), {"run_at": in_a_month}), (tasks.echo, (2,))], callback=tasks.echo
    )
    iteration = async_iter(tasks.echo, [1], delay=timedelta(days=30))
    Gathering.objects.update(created=timezone.now() - timedelta(days=36))

    gatherings.drop_old()

    kept = dict(Gathering.objects.values_list("pk", "until"))
    assert set(kept) == {group.callback_id, iteration}
    wanted = in_a_month + timedelta(days=7)
    assert all(abs(until - wanted) < timedelta(minutes=1) for until in kept.values())


@pytest.mark.parametrize("database", databases.ALIASES, indirect=True)
def test_a_part_that_the_database_refuses_fails_and_holds_up_no_other(
    database: str, q_cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    q_cluster(orm=database)
    monkeypatch.setattr("django_q.results.statements._LARGEST", 13_000_000)
    results: list[Any] = [0, "x" * 13_000_000, 20]

    records = [prepared(foreign(number), result) for number, result in enumerate(results)]
    record(records, make_stores())

    assert len(gatherings.complete([ITERATION])) == 1
    first, refused, last = gatherings.gather(ITERATION)
    assert (first, last) == (0, 20)
    assert isinstance(refused, FailedResult)
    assert "The result could not be stored: it has 17" in str(refused)


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_parts_that_are_too_large_only_together_are_all_kept(database: str, q_cluster: Any) -> None:
    q_cluster(orm=database)

    record([prepared(foreign(number), "x" * 5_000_000) for number in range(3)], make_stores())

    assert [len(result) for result in gatherings.gather(ITERATION)] == [5_000_000] * 3


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_a_part_that_is_too_large_once_it_is_escaped_fails(database: str, q_cluster: Any) -> None:
    q_cluster(orm=database, serializer="json")

    record([prepared(foreign(0), '"' * 5_000_000)], make_stores())

    assert isinstance(gatherings.gather(ITERATION)[0], FailedResult)
