"""Looking up results, in the database and in the cache."""

import inspect
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import caches
from django.db import connections
from django.test.utils import CaptureQueriesContext

from django_q.conf import Conf
from django_q.models import Task
from django_q.results import lookup
from django_q.results.base import Row
from django_q.results.cache import CachedRow, CacheStore
from django_q.results.database import DatabaseStore
from tests.unit.rows import make_row

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(params=[False, True], ids=["database", "cache"])
def cached(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether results are looked for in the cache."""
    caches["default"].clear()
    yield request.param
    caches["default"].clear()


@pytest.fixture
def keep(cached: bool) -> Callable[..., list[Row]]:
    """Function that keeps rows where they will be looked for."""

    def keep(*rows: Row) -> list[Row]:
        if cached:
            CacheStore().save_cached([CachedRow(row, None) for row in rows])
        else:
            DatabaseStore().save(rows)
        return list(rows)

    return keep


@pytest.fixture
def later() -> Iterator[Callable[..., None]]:
    """Function that calls another one in a thread after a while."""
    threads: list[threading.Thread] = []

    def start(seconds: float, action: Callable[[], Any]) -> None:
        def run() -> None:
            time.sleep(seconds)
            action()
            connections.close_all()

        threads.append(threading.Thread(target=run))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join()


# One task.


def test_a_result_is_found_by_id(keep: Any, cached: bool) -> None:
    (row,) = keep(make_row({"answer": 42}))

    assert lookup.result(row.id, cached=cached) == {"answer": 42}
    task = lookup.fetch(row.id, cached=cached)
    assert task is not None and task.name == row.name


def test_what_is_not_there_is_none(cached: bool) -> None:
    assert lookup.result("0" * 32, cached=cached) is None
    assert lookup.fetch("no-such-name", cached=cached) is None


def test_the_result_of_a_failed_task_is_its_error(keep: Any, cached: bool) -> None:
    (row,) = keep(make_row("ValueError: no", success=False))

    assert lookup.result(row.id, cached=cached) == "ValueError: no"


def test_a_result_of_none_does_not_wait_on(keep: Any, cached: bool) -> None:
    (row,) = keep(make_row(None))
    start = time.monotonic()

    assert lookup.result(row.id, wait=5_000, cached=cached) is None

    assert time.monotonic() - start < 2
    assert lookup.fetch(row.id, cached=cached) is not None


def test_of_several_with_one_name_the_newest_is_found() -> None:
    rows = [make_row(n, minute=minute, name="nightly") for n, minute in enumerate([1, 3, 2])]
    DatabaseStore().save(rows)

    assert lookup.result("nightly") == 1


@pytest.mark.parametrize("name", ["f" * 32, "x" * 32])
def test_a_name_as_long_as_an_id_is_found_too(name: str) -> None:
    DatabaseStore().save([make_row("by name", name=name)])

    assert lookup.result(name) == "by name"


def test_an_id_goes_before_a_name() -> None:
    row = make_row("by id")
    DatabaseStore().save([row, make_row("by name", name=row.id, minute=9)])

    assert lookup.result(row.id) == "by id"


def test_the_setting_says_where_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Conf, "CACHED", 60)
    row = make_row("kept in the cache")
    CacheStore().save([row])

    assert lookup.result(row.id) == "kept in the cache"
    assert lookup.result(row.id, cached=False) is None


# Waiting.


def test_waiting_ends_when_the_result_is_there(keep: Any, cached: bool, later: Any) -> None:
    row = make_row("late")
    later(0.15, lambda: keep(row))
    start = time.monotonic()

    assert lookup.result(row.id, wait=10_000, cached=cached) == "late"

    assert 0.1 < time.monotonic() - start < 5


def test_waiting_ends_in_time(cached: bool) -> None:
    start = time.monotonic()

    assert lookup.result("0" * 32, wait=150, cached=cached) is None

    assert 0.15 <= time.monotonic() - start < 2


def test_a_negative_wait_has_no_end(keep: Any, cached: bool, later: Any) -> None:
    row = make_row("late")
    later(0.3, lambda: keep(row))

    assert lookup.result(row.id, wait=-1, cached=cached) == "late"


def test_waiting_for_an_id_costs_one_query_a_turn(database: str) -> None:
    with CaptureQueriesContext(connections[database]) as queries:
        lookup.result("0" * 32, wait=500)

    # After 10 ms, 15, 22, ... up to 200: ten looks at most; and once by name.
    assert len(queries) <= 11


# Groups.


def test_a_group_is_given_newest_first(keep: Any, cached: bool) -> None:
    keep(*(make_row(number, minute=number) for number in range(4)), make_row("x", group="other"))

    assert list(lookup.result_group("g", cached=cached)) == [3, 2, 1, 0]
    assert [task.result for task in lookup.fetch_group("g", cached=cached)] == [3, 2, 1, 0]
    assert lookup.count_group("g", cached=cached) == 4


def test_failures_are_told_apart(keep: Any, cached: bool) -> None:
    keep(make_row("good"), make_row("bad", success=False, minute=1))

    assert list(lookup.result_group("g", cached=cached)) == ["good"]
    assert list(lookup.result_group("g", failures=True, cached=cached)) == ["bad", "good"]
    assert len(lookup.fetch_group("g", cached=cached)) == 2
    assert len(lookup.fetch_group("g", failures=False, cached=cached)) == 1
    assert lookup.count_group("g", cached=cached) == 2
    assert lookup.count_group("g", failures=True, cached=cached) == 1


def test_an_unknown_group_is_empty(cached: bool) -> None:
    assert list(lookup.result_group("nobody", cached=cached)) == []
    assert list(lookup.fetch_group("nobody", cached=cached)) == []
    assert lookup.count_group("nobody", cached=cached) == (None if cached else 0)


@pytest.mark.parametrize("wait", [0, -1, 10_000])
def test_a_count_is_waited_for(keep: Any, cached: bool, later: Any, wait: int) -> None:
    keep(make_row(0), make_row("bad", success=False, minute=1))
    later(0.2, lambda: keep(make_row(2, minute=2)))

    assert list(lookup.result_group("g", wait=wait, count=3, cached=cached)) == [2, 0]


def test_a_count_that_is_not_reached_gives_what_there_is(keep: Any, cached: bool) -> None:
    keep(make_row(0))

    tasks = lookup.fetch_group("g", wait=100, count=3, cached=cached)

    assert [task.result for task in tasks] == [0]


def test_the_first_of_a_group_is_waited_for(keep: Any, cached: bool, later: Any) -> None:
    keep(make_row("bad", success=False))
    later(0.2, lambda: keep(make_row("good")))

    assert list(lookup.result_group("g", wait=10_000, cached=cached)) == ["good"]


def test_deleting_a_group_takes_the_label_off_or_the_tasks_away(database: str) -> None:
    row, other = make_row(), make_row(group="other")
    DatabaseStore().save([row, make_row(), other])

    assert lookup.delete_group("g") == 2
    assert (lookup.count_group("g"), Task.objects.count()) == (0, 3)
    assert lookup.delete_group("other", tasks=True) == (1, {"django_q.Task": 1})
    assert Task.objects.count() == 2


def test_a_cached_group_and_a_cached_task_can_be_deleted() -> None:
    rows = [make_row(), make_row(group=None)]
    CacheStore().save(rows)

    assert lookup.delete_group("g", cached=True) is None
    assert lookup.delete_cached(rows[1].id) is True
    assert lookup.delete_cached(rows[1].id) is False

    assert [lookup.fetch_cached(row.id) for row in rows] == [None, None]


def test_a_broker_brings_its_own_cache(tmp_path: Any) -> None:
    class Broker:
        cache = caches["shared"]

    Broker.cache.clear()
    row = make_row("elsewhere")
    CacheStore(Broker.cache).save([row])

    assert lookup.result_cached(row.id, broker=Broker) == "elsewhere"
    assert lookup.result_group_cached("g", broker=Broker) == ["elsewhere"]
    assert lookup.count_group_cached("g", broker=Broker) == 1
    lookup.delete_group_cached("g", broker=Broker)
    assert lookup.result_cached(row.id) is None
    Broker.cache.clear()


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("result", "task_id wait cached"),
        ("fetch", "task_id wait cached"),
        ("result_cached", "task_id wait broker"),
        ("fetch_cached", "task_id wait broker"),
        ("result_group", "group_id failures wait count cached"),
        ("fetch_group", "group_id failures wait count cached"),
        ("result_group_cached", "group_id failures wait count broker"),
        ("fetch_group_cached", "group_id failures wait count broker"),
        ("count_group", "group_id failures cached"),
        ("count_group_cached", "group_id failures broker"),
        ("delete_group", "group_id tasks cached"),
        ("delete_group_cached", "group_id broker"),
        ("delete_cached", "task_id broker"),
    ],
)
def test_the_signatures_are_those_of_django_q(name: str, parameters: str) -> None:
    assert list(inspect.signature(getattr(lookup, name)).parameters) == parameters.split()
