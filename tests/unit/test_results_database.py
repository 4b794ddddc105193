"""Results in the database: every behaviour on SQLite, PostgreSQL and MariaDB."""

import datetime
import logging
from collections.abc import Sequence

import pytest
from django.db import connections
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from django_q.exceptions import ResultsUnavailable
from django_q.models import Heartbeat, Task
from django_q.results.base import Row
from django_q.results.database import DatabaseStore
from django_q.results.statements import RowWriter, Values
from tests.site import databases
from tests.unit.rows import START, make_row, run_again

pytestmark = pytest.mark.usefixtures("database")
everywhere = pytest.mark.parametrize("database", databases.ALIASES, indirect=True)


@pytest.fixture
def store(database: str) -> DatabaseStore:
    return DatabaseStore()


# The row.


@everywhere
def test_a_saved_row_is_read_back_whole(store: DatabaseStore) -> None:
    row = make_row({"answer": [42, None, "ü"]}, hook="tests.site.tasks.write_hook")
    row = row._replace(priority=-7, run_at=START)

    assert store.save([row]) == []

    task = Task.objects.get(pk=row.id)
    assert (task.name, task.func, task.hook) == (row.name, row.func, row.hook)
    assert (task.args, task.kwargs) == ((1, "two"), {"three": 3})
    assert task.result == {"answer": [42, None, "ü"]}
    assert (task.group, task.cluster, task.success) == ("g", row.cluster, True)
    assert (task.started, task.stopped) == (row.started, row.stopped)
    assert (task.enqueued, task.attempt_count) == (row.enqueued, 1)
    assert (task.priority, task.run_at) == (-7, START)


@everywhere
def test_a_batch_is_one_statement_in_one_transaction(store: DatabaseStore) -> None:
    rows = [make_row(number) for number in range(100)]
    store.save([make_row()])

    with CaptureQueriesContext(connections[store.alias]) as queries:
        store.save(rows)

    writes = [query for query in queries if "django_q_task" in query["sql"]]
    assert len(writes) == 1
    assert Task.objects.count() == 101


@everywhere
def test_rows_are_made_ready_before_the_transaction(
    store: DatabaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, within = RowWriter.values, list[bool]()

    def values(self: RowWriter, rows: Sequence[Row]) -> list[Values]:
        within.append(connections[store.alias].in_atomic_block)
        return usual(self, rows)

    monkeypatch.setattr(RowWriter, "values", values)
    store.save(
        [make_row(1)], within=lambda: within.append(connections[store.alias].in_atomic_block)
    )

    assert within == [False, True]


@everywhere
@pytest.mark.parametrize("use_tz", [True, False])
def test_moments_are_kept_whatever_use_tz_says(store: DatabaseStore, use_tz: bool) -> None:
    with override_settings(USE_TZ=use_tz, TIME_ZONE="Asia/Tokyo"):
        connections[store.alias].close()
        aware, naive = make_row(), make_row()._replace(started=START.replace(tzinfo=None))
        store.save([aware, naive])
        store.save([aware])  # compares the moments
        found = Task.objects.in_bulk()

        expected = START if use_tz else datetime.datetime(2026, 3, 1, 21, 0, 0, 123456)
        assert found[aware.id].started == expected
        assert found[naive.id].started.replace(tzinfo=None).microsecond == 123456
    connections[store.alias].close()


# Runs of one task.


@everywhere
def test_a_recorded_success_stands(store: DatabaseStore) -> None:
    first = make_row("first")
    store.save([first])
    fresh = make_row("fresh")

    others = store.save([run_again(first, "second", success=True), fresh])

    assert others == [first.id]
    task = Task.objects.get(pk=first.id)
    assert (task.result, task.attempt_count, task.started) == ("first", 1, first.started)
    assert Task.objects.get(pk=fresh.id).result == "fresh"


@everywhere
def test_a_failure_does_not_overwrite_a_success(store: DatabaseStore) -> None:
    first = make_row("first")
    store.save([first])

    assert store.save([run_again(first, "error", success=False)]) == [first.id]

    assert Task.objects.get(pk=first.id).success is True


@everywhere
@pytest.mark.parametrize("success", [True, False])
def test_a_recorded_failure_is_overwritten(store: DatabaseStore, success: bool) -> None:
    first = make_row("error", success=False)
    store.save([first])
    second = run_again(first, "second", success=success)

    assert store.save([second]) == []

    task = Task.objects.get(pk=first.id)
    assert (task.success, task.result, task.attempt_count) == (success, "second", 2)
    assert (task.started, task.stopped) == (second.started, second.stopped)


@everywhere
@pytest.mark.parametrize("success", [True, False])
def test_the_same_run_saved_twice_changes_nothing(store: DatabaseStore, success: bool) -> None:
    row = make_row("value", success=success)
    store.save([row])

    assert store.save([row]) == []

    task = Task.objects.get(pk=row.id)
    assert (task.attempt_count, task.success, task.result) == (1, success, "value")


@everywhere
def test_two_runs_in_one_batch_leave_the_first_success(store: DatabaseStore) -> None:
    first = make_row("first")

    others = store.save([first, run_again(first, "second", success=True)])

    assert others == [first.id]
    assert Task.objects.get().result == "first"


# Rows that cannot be stored.


@everywhere
@pytest.mark.parametrize("name", ["half a pair \ud800", "half a pair \ud800" + "x" * 5000])
def test_one_bad_row_blocks_nobody(
    store: DatabaseStore, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    bad = make_row(name=name, group=name)
    good = [make_row(number) for number in range(3)]

    with caplog.at_level(logging.ERROR, "django-q"):
        assert store.save([good[0], bad, *good[1:]]) == []

    assert {row.id for row in good} < set(Task.objects.values_list("pk", flat=True))
    task = Task.objects.get(pk=bad.id)
    assert task.success is False
    assert task.result.startswith("The result could not be stored: ")
    assert task.name.startswith("half a pair ?")
    assert (task.group, task.args) == (None, None)
    assert [record.getMessage() for record in caplog.records if bad.id in record.getMessage()]


@pytest.mark.parametrize("database", ["postgres", "mariadb"], indirect=True)
def test_a_label_that_is_too_long_costs_the_result_only(store: DatabaseStore) -> None:
    bad = make_row("value", hook="x" * 5000)

    assert store.save([bad, make_row()]) == []

    assert Task.objects.filter(success=True).count() == 1
    assert "could not be stored" in Task.objects.get(pk=bad.id).result


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_postgresql_refuses_a_nul(store: DatabaseStore) -> None:
    bad = make_row("value", group="nul \0")

    assert store.save([bad]) == []

    assert "could not be stored" in Task.objects.get(pk=bad.id).result


@everywhere
def test_a_row_that_is_too_large_is_refused_before_it_is_sent(
    store: DatabaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django_q.results.statements._LARGEST", 20_000_000)
    row, good = make_row("x" * 20_000_000), make_row()

    assert store.save([row, good]) == []

    task = Task.objects.get(pk=row.id)
    assert task.success is False
    assert "bytes, more than the" in task.result
    assert task.args == (1, "two")


@everywhere
def test_a_result_of_ten_megabytes_is_kept(store: DatabaseStore) -> None:
    row = make_row("x" * 10_000_000)

    store.save([row])

    assert len(Task.objects.get(pk=row.id).result) == 10_000_000


# What is done in the same transaction.


@everywhere
@pytest.mark.parametrize("is_recorded", [True, False])
def test_within_runs_in_the_same_transaction_after_the_rows(
    store: DatabaseStore, is_recorded: bool
) -> None:
    row = make_row()
    if is_recorded:
        store.save([row])
    seen = []

    def within() -> None:
        seen.append((connections[store.alias].in_atomic_block, Task.objects.count()))

    store.save([row], within)

    assert seen == [(True, 1)]


@everywhere
def test_nothing_is_kept_when_within_fails(store: DatabaseStore) -> None:
    def within() -> None:
        raise RuntimeError("the queue is gone")

    with pytest.raises(RuntimeError, match="the queue is gone"):
        store.save([make_row()], within)

    assert not Task.objects.exists()


@everywhere
def test_within_runs_even_without_rows(store: DatabaseStore) -> None:
    called = []

    assert store.save([], lambda: called.append(1)) == []
    assert store.save([]) == []

    assert called == [1]


@everywhere
def test_an_integrity_error_of_within_is_not_taken_for_a_bad_row(store: DatabaseStore) -> None:
    Heartbeat.objects.create(key="there", value="", expires=START)
    calls = []

    def within() -> None:
        calls.append(1)
        Heartbeat.objects.create(key="there", value="", expires=START)

    with pytest.raises(ResultsUnavailable):
        store.save([make_row()], within)

    assert calls == [1]
    assert not Task.objects.exists()
