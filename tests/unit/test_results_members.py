"""The members of a group in the cache: none is lost, whoever dies or writes at the same time."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import BaseCache, caches
from django.test import override_settings

from django_q.exceptions import ResultsUnavailable
from django_q.results.members import Members


@pytest.fixture(params=["locmem.LocMemCache", "redis.RedisCache"])
def cache(request: pytest.FixtureRequest) -> Iterator[BaseCache]:
    entry: dict[str, Any] = {"BACKEND": f"django.core.cache.backends.{request.param}"}
    if "redis" in request.param:
        entry["LOCATION"] = request.getfixturevalue("redis_url")
    else:
        entry["OPTIONS"] = {"MAX_ENTRIES": 10_000}
    with override_settings(CACHES={"default": entry}):
        caches["default"].clear()
        yield caches["default"]
        caches["default"].clear()


@pytest.fixture
def members(cache: BaseCache) -> Members:
    return Members(cache, "a-group")


def test_members_come_in_the_order_in_which_they_joined(members: Members) -> None:
    members.join({"b": None, "a": 60})
    members.join({"c": 60})

    assert members.ids() == ["b", "a", "c"]


def test_a_group_that_nobody_joined_is_empty(members: Members) -> None:
    assert members.ids() == []

    members.clear()


def test_who_joins_twice_is_one_member(members: Members) -> None:
    members.join({"a": None, "b": None})
    members.join({"a": None})

    assert members.ids() == ["a", "b"]


def test_groups_do_not_mix(members: Members, cache: BaseCache) -> None:
    members.join({"a": None})
    Members(cache, "another").join({"b": None})

    assert members.ids() == ["a"]


def test_a_cleared_group_is_empty(members: Members) -> None:
    members.join({str(number): None for number in range(30)})

    members.clear()

    assert members.ids() == []
    members.join({"new": None})
    assert members.ids() == ["new"]


def test_slots_left_empty_hide_nothing(members: Members, cache: BaseCache) -> None:
    members.join({"a": None})
    # A writer died between the counter and its slots.
    cache.incr("a-group", 30)

    members.join({"b": None})

    assert members.ids() == ["a", "b"]


def test_a_counter_that_is_lost_hides_nothing(members: Members, cache: BaseCache) -> None:
    many = [str(number) for number in range(2_000)]
    members.join(dict.fromkeys(many))
    cache.delete("a-group")

    assert members.ids() == many
    members.join({"new": None})
    assert members.ids() == [*many, "new"]


def test_a_counter_that_lags_loses_nobody(members: Members, cache: BaseCache) -> None:
    members.join({"a": None, "b": None})
    # Two clusters counted at the same time in a cache that reads, adds and writes.
    cache.set("a-group", 0)

    members.join({"c": None})

    assert members.ids() == ["a", "b", "c"]


def test_writers_at_the_same_time_lose_no_member(members: Members) -> None:
    def write(name: str) -> None:
        own = Members(caches["default"], "a-group")
        for turn in range(20):
            own.join({f"{name}-{turn}-{number}": 60 for number in range(5)})
        caches.close_all()

    writers = [threading.Thread(target=write, args=[name]) for name in "abcd"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert len(members.ids()) == 400


def test_a_cache_that_keeps_nothing_is_told(
    members: Members, cache: BaseCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(cache), "incr", lambda *args, **kwargs: 1)
    monkeypatch.setattr(type(cache), "add", lambda *args, **kwargs: False)

    with pytest.raises(ResultsUnavailable, match="does not keep"):
        members.join({"a": None})
