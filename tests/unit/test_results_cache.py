"""Results in the cache: on the in-memory, file-based, database and Redis caches of Django."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import BaseCache, caches
from django.core.management import call_command
from django.test import override_settings

from django_q import signing
from django_q.conf import Conf
from django_q.exceptions import ConfigurationError, ResultsUnavailable
from django_q.results.base import Row
from django_q.results.cache import CachedRow, CacheStore, _key, _sealed, seconds_to_keep
from tests.unit.rows import make_row, run_again


@pytest.fixture(
    params=[
        "locmem.LocMemCache",
        "filebased.FileBasedCache",
        "db.DatabaseCache",
        "redis.RedisCache",
    ]
)
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BaseCache]:
    """The project's cache, on one backend after the other."""
    entry: dict[str, Any] = {"BACKEND": f"django.core.cache.backends.{request.param}"}
    if "redis" in request.param:
        entry["LOCATION"] = request.getfixturevalue("redis_url")
    else:
        entry |= {"LOCATION": str(tmp_path), "OPTIONS": {"MAX_ENTRIES": 10_000}}
    if "db" in request.param:
        entry["LOCATION"] = "cache_of_results"
    with override_settings(CACHES={"default": entry}):
        if "db" in request.param:
            alias = request.getfixturevalue("database")
            call_command("createcachetable", database=alias, verbosity=0)
        caches["default"].clear()
        yield caches["default"]
        caches["default"].clear()


@pytest.fixture
def store(cache: BaseCache) -> CacheStore:
    return CacheStore()


def kept(row: Row, seconds: float | None = None) -> CachedRow:
    return CachedRow(row, seconds)


# One row.


def test_a_kept_row_is_read_back_as_a_task(store: CacheStore) -> None:
    row = make_row({"answer": 42})

    assert store.save_cached([kept(row)]) == []

    task = store.fetch(row.id)
    assert task is not None
    assert (task.id, task.name, task.result, task.success) == (
        row.id,
        row.name,
        {"answer": 42},
        True,
    )
    assert (task.args, task.kwargs, task.group) == ((1, "two"), {"three": 3}, "g")
    assert (task.started, task.stopped) == (row.started, row.stopped)


def test_a_failed_task_is_marked_as_failed(store: CacheStore) -> None:
    row = make_row("ValueError : traceback", success=False)

    store.save_cached([kept(row)])

    task = store.fetch(row.id)
    assert task is not None
    assert (task.success, task.result) == (False, "ValueError : traceback")


def test_what_is_not_there_is_none(store: CacheStore) -> None:
    assert store.fetch("0" * 32) is None
    assert store.count_group("nobody") is None
    assert store.fetch_group("nobody") == []
    assert store.delete("0" * 32) is False


def test_a_row_is_kept_for_its_time(store: CacheStore, monkeypatch: pytest.MonkeyPatch) -> None:
    times: list[int | None] = []
    monkeypatch.setattr(
        type(store.cache), "add", lambda self, key, value, timeout: times.append(timeout) or True
    )

    store.save_cached([kept(make_row(group=None), seconds) for seconds in (0.2, 30, None)])

    assert times == [1, 30, None]


@pytest.mark.parametrize(
    ("cached", "setting", "seconds"),
    [(30, False, 30), (True, False, None), (True, 60, 60), (True, True, None), (2.5, 60, 2.5)],
)
def test_true_means_the_setting_or_for_ever(
    cached: Any, setting: Any, seconds: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Conf, "CACHED", setting)

    assert seconds_to_keep(cached) == seconds


def test_it_can_be_deleted(store: CacheStore) -> None:
    row = make_row()
    store.save_cached([kept(row)])

    assert store.delete(row.id) is True
    assert store.fetch(row.id) is None


# Runs of one task.


def test_a_kept_success_stands(store: CacheStore) -> None:
    first = make_row("first")
    store.save_cached([kept(first)])

    assert store.save_cached([kept(run_again(first, "second", success=True))]) == [first.id]

    task = store.fetch(first.id)
    assert task is not None and task.result == "first"


def test_a_kept_failure_is_overwritten(store: CacheStore) -> None:
    first = make_row("error", success=False)
    store.save_cached([kept(first)])

    assert store.save_cached([kept(run_again(first, "second", success=True))]) == []

    task = store.fetch(first.id)
    assert task is not None
    assert (task.result, task.success, task.attempt_count) == ("second", True, 2)


def test_the_same_run_saved_twice_changes_nothing(store: CacheStore) -> None:
    row = make_row()
    store.save_cached([kept(row)])

    assert store.save_cached([kept(row)]) == []

    task = store.fetch(row.id)
    assert task is not None and task.attempt_count == 1
    assert store.count_group("g") == 1


# Groups.


def test_a_group_has_its_members_newest_first(store: CacheStore) -> None:
    rows = [make_row(number, minute=number, group="a group, with ümlauts") for number in range(5)]
    rows[3] = rows[3]._replace(success=False)
    store.save_cached([kept(rows[0]), kept(make_row(group="other"))])
    store.save_cached([kept(row) for row in rows[1:]])

    tasks = store.fetch_group("a group, with ümlauts")

    assert [task.result for task in tasks] == [4, 3, 2, 1, 0]
    assert store.count_group("a group, with ümlauts") == 5
    assert store.count_group("a group, with ümlauts", failures=True) == 1
    assert store.has_members("a group, with ümlauts", 5)
    assert not store.has_members("a group, with ümlauts", 6)


def test_a_deleted_group_is_gone_with_its_members(store: CacheStore) -> None:
    row, other = make_row(), make_row(group="other")
    store.save_cached([kept(row), kept(other)])

    store.delete_group("g")

    assert store.count_group("g") is None
    assert store.fetch(row.id) is None
    assert store.count_group("other") == 1


def test_a_member_counts_once_even_if_its_first_writer_died(store: CacheStore) -> None:
    row = make_row()
    store._join_groups([_sealed(kept(row))])  # and no more

    store.save_cached([kept(row), kept(make_row())])

    assert store.count_group("g") == 2


# What is not taken, and what is not ours.


@pytest.mark.parametrize("raises", [True, False])
def test_a_value_too_large_for_the_cache_becomes_a_failed_row(
    store: CacheStore,
    raises: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    _limit_to_a_mebibyte(type(store.cache), raises, monkeypatch)
    large, small = make_row("x" * 2**20), make_row()

    with caplog.at_level(logging.ERROR, "django-q"):
        assert store.save_cached([kept(large), kept(small)]) == []

    task = store.fetch(large.id)
    assert task is not None
    assert (task.success, task.args) == (False, None)
    assert "could not be stored" in task.result
    assert store.count_group("g") == 2
    assert any(large.id in record.getMessage() for record in caplog.records)


def _limit_to_a_mebibyte(
    cache_class: type[BaseCache], raises: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let a cache behave as Memcached: with one client it raises, with another it keeps still."""
    for name in ("add", "set"):
        monkeypatch.setattr(cache_class, name, _refusing(getattr(cache_class, name), raises))


def _refusing(original: Callable[..., Any], raises: bool) -> Callable[..., Any]:
    def write(self: BaseCache, key: str, value: Any, *rest: Any, **more: Any) -> Any:
        if len(str(value)) <= 2**20:
            return original(self, key, value, *rest, **more)
        if raises:
            raise OSError("object too large for cache")
        return False if original.__name__ == "add" else None

    return write


def test_a_cache_that_is_away_is_told(store: CacheStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise ConnectionError("connection refused")

    for name in ("add", "get_many"):
        monkeypatch.setattr(type(store.cache), name, fail)
    row = make_row(group=None)

    with pytest.raises(ResultsUnavailable, match="connection refused"):
        store.save_cached([kept(row)])
    with pytest.raises(ResultsUnavailable, match=type(store.cache).__name__):
        store.fetch(row.id)


def test_what_others_wrote_is_as_if_it_were_not_there(store: CacheStore) -> None:
    rows = [make_row() for _ in range(4)]
    forged = signing.seal(rows[2]._asdict(), "stat", "")
    for row, text in zip(rows, ["nonsense", 5, forged, None], strict=True):
        store.cache.set(_key("result", row.id), text, 60)
    sealed = signing.seal(rows[0]._asdict(), "result", "")
    store.cache.set(_key("result", rows[3].id), sealed, 60)  # genuine, but another task's

    assert [store.fetch(row.id) for row in rows] == [None] * 4


def test_without_a_cache_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Conf, "CACHE", None)

    with pytest.raises(ConfigurationError, match="names none"):
        CacheStore().save([make_row()])


def test_within_is_called_after_the_rows(store: CacheStore) -> None:
    row, seen = make_row(), []

    store.save([row], lambda: seen.append(store.fetch(row.id) is not None))

    assert seen == [True]


def test_a_plain_row_is_kept_as_the_settings_say(store: CacheStore) -> None:
    row = make_row()

    store.save([row])

    assert store.fetch(row.id) is not None
