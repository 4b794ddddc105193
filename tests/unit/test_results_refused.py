"""Outcomes that a store cannot take as they are: they cost themselves at most, and no other."""

import datetime
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from django_q.models import Task
from django_q.package import FailureCause, Outcome, build_package
from django_q.results.base import Row, encode_row
from django_q.results.cache import CachedRow, CacheStore
from django_q.results.database import DatabaseStore
from tests.site import databases
from tests.unit.rows import START, make_row, run_again

#: Twelve hours east of Greenwich the first day began before any that can be written.
FIRST = datetime.datetime.min.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=12)))

Configure = Callable[..., Any]

everywhere = pytest.mark.parametrize("database", databases.ALIASES, indirect=True)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[CacheStore]:
    backend = "django.core.cache.backends.filebased.FileBasedCache"
    with override_settings(CACHES={"default": {"BACKEND": backend, "LOCATION": str(tmp_path)}}):
        yield CacheStore()


def kept(*rows: Row) -> list[CachedRow]:
    return [CachedRow(row, None) for row in rows]


def unsealable(row: Row) -> Row:
    """A row with a value that has no form in JSON."""
    value: Any = object()
    return row._replace(enqueued=value)


# The cache.


@pytest.mark.parametrize("serializer", ["json", "pickle"])
@pytest.mark.parametrize("cause", FailureCause)
def test_a_failure_is_cached_with_its_cause_whatever_the_serializer(
    cache: CacheStore, q_cluster: Configure, cause: FailureCause, serializer: str
) -> None:
    q_cluster(serializer=serializer)
    package = build_package("tests.site.tasks.noop", (), {}, {})
    row = encode_row(Outcome(package, False, "error", START, START, cause=cause))

    assert cache.save_cached(kept(row)) == []

    task = cache.fetch(row.id)
    assert task is not None
    assert (task.success, task.result, task.cause) == (False, "error", cause)


def test_a_row_that_cannot_be_sealed_holds_up_no_other(
    cache: CacheStore, q_cluster: Configure, caplog: pytest.LogCaptureFixture
) -> None:
    q_cluster(serializer="json")
    bad, good = unsealable(make_row()), make_row()

    with caplog.at_level(logging.ERROR, "django-q"):
        assert cache.save_cached(kept(bad, good)) == []

    task = cache.fetch(bad.id)
    assert task is not None and cache.fetch(good.id)
    assert (task.success, task.name, task.args) == (False, bad.name, None)
    assert "could not be stored: a builtins.object has no form in JSON" in task.result
    assert any(bad.id in record.getMessage() for record in caplog.records)


def test_a_row_that_cannot_be_sealed_stands_over_no_success(
    cache: CacheStore, q_cluster: Configure
) -> None:
    q_cluster(serializer="json")
    first = make_row("first")
    cache.save_cached(kept(first))

    again = unsealable(run_again(first, "second", success=True))

    assert cache.save_cached(kept(again)) == [first.id]
    task = cache.fetch(first.id)
    assert task is not None and task.result == "first"


# The database.


@everywhere
@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("run_at", "2026-03-01"), ("run_at", 5), ("run_at", FIRST)),
        *(("priority", "high"), ("priority", 2.5), ("priority", 40_000), ("priority", -101)),
    ],
)
def test_an_order_that_nobody_checked_costs_no_outcome(database: str, key: str, value: Any) -> None:
    package: Any = build_package("tests.site.tasks.noop", (), {}, {})
    package[key] = value

    row = encode_row(Outcome(package, True, "value", START, START))

    assert DatabaseStore().save([row]) == []
    task = Task.objects.get(pk=row.id)
    assert (task.result, task.priority, task.run_at) == ("value", None, None)


@pytest.mark.parametrize("database", ["default", "mariadb"], indirect=True)
def test_a_moment_that_the_database_refuses_costs_one_result_only(database: str) -> None:
    bad = make_row("value", run_at=FIRST)

    assert DatabaseStore().save([bad, make_row()]) == []

    assert Task.objects.filter(success=True).count() == 1
    task = Task.objects.get(pk=bad.id)
    assert "could not be stored" in task.result
    assert task.run_at is None
