"""Pruning: the newest successes stay, whatever the database."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connections
from django.db.models import QuerySet
from django.db.models.signals import post_delete
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_q.exceptions import ResultsUnavailable
from django_q.models import Success, Task
from django_q.results.database import DatabaseStore
from django_q.results.pruning import prune, prune_by_age
from tests.site import databases
from tests.unit.rows import make_row

pytestmark = pytest.mark.usefixtures("database")
DAY = 86_400
everywhere = pytest.mark.parametrize("database", databases.ALIASES, indirect=True)


def keep(count: int, **columns: Any) -> None:
    DatabaseStore().save([make_row(n, minute=n, **columns) for n in range(count)])


def kept(**conditions: Any) -> list[Any]:
    """The results that are left, newest first."""
    return list(Task.objects.filter(**conditions).values_list("result", flat=True))


@everywhere
def test_the_newest_successes_stay(database: str) -> None:
    keep(10)

    assert prune(3) == 7

    assert kept() == [9, 8, 7]


@everywhere
@pytest.mark.parametrize("limit", [10, 11, 0, -1])
def test_nothing_goes_within_the_limit(database: str, limit: int) -> None:
    keep(10)

    assert prune(limit) == 0

    assert len(kept()) == 10


@everywhere
def test_failures_stay_always(database: str) -> None:
    keep(5, success=False)
    keep(5)

    assert prune(2) == 3

    assert len(kept(success=False)) == 5
    assert kept(success=True) == [4, 3]


@everywhere
def test_batches_go_on_until_all_is_done(database: str) -> None:
    keep(25)

    assert prune(5, batch=7) == 20

    assert kept() == [24, 23, 22, 21, 20]


@everywhere
@pytest.mark.parametrize("per", ["func", "name", "group"])
def test_the_limit_may_hold_for_each_value(database: str, per: str) -> None:
    keep(5, **{per: "first"})
    keep(3, **{per: "second"})
    keep(1, **{per: "third"})

    assert prune(2, per) == 4

    assert kept(**{per: "first"}) == [4, 3]
    assert kept(**{per: "second"}) == [2, 1]
    assert kept(**{per: "third"}) == [0]


@everywhere
def test_tasks_without_group_are_a_group_of_their_own(database: str) -> None:
    keep(4, group=None)
    keep(4, group="g")

    assert prune(1, "group") == 6

    assert kept(group=None) == [3]
    assert kept(group="g") == [3]


@everywhere
def test_what_stopped_in_the_same_microsecond_is_kept_together(database: str) -> None:
    DatabaseStore().save([make_row(n) for n in range(4)])
    DatabaseStore().save([make_row("later", minute=1)])

    assert prune(2) == 0
    assert prune(1) == 4


def test_it_stops_in_time_and_goes_on_later(database: str) -> None:
    keep(20)

    assert prune(5, batch=4, duration=0.0) == 4
    assert prune(5, batch=4) == 11


@everywhere
def test_kept_rows_are_not_loaded(database: str) -> None:
    keep(100)

    with CaptureQueriesContext(connections[database]) as queries:
        prune(50)

    statements = [query["sql"] for query in queries]
    assert not any("result" in statement for statement in statements)
    # The cut-off, the ids, the deletion in its transaction.
    assert len([text for text in statements if "django_q_task" in text]) == 3


def test_receivers_hear_of_what_goes(database: str) -> None:
    keep(3)
    heard = []

    def receive(sender: Any, instance: Task, **kwargs: Any) -> None:
        heard.append(instance.result)

    post_delete.connect(receive, sender=Success)
    try:
        prune(1)
    finally:
        post_delete.disconnect(receive, sender=Success)

    assert sorted(heard) == [0, 1]


@everywhere
def test_a_database_that_fails_is_named(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(3)

    def fail(self: Any) -> None:
        raise OperationalError("the disk is full")

    monkeypatch.setattr(QuerySet, "delete", fail)

    with pytest.raises(ResultsUnavailable, match=f"{database!r}.*the disk is full"):
        prune(1)


# By age.


def aged(success: bool, *days: float) -> None:
    """Rows that stopped so many days ago; the number of days is their result."""
    DatabaseStore().save([make_row(n, minute=n, success=success) for n in range(len(days))])
    rows = Task.objects.filter(success=success).order_by("stopped")
    for row, age in zip(rows, days, strict=True):
        stopped = timezone.now() - timedelta(days=age)
        Task.objects.filter(pk=row.pk).update(stopped=stopped, result=age)


@everywhere
def test_what_is_old_enough_goes_of_either_kind(database: str) -> None:
    aged(True, 9, 5, 1)
    aged(False, 9, 5, 1)

    assert prune_by_age(None, None) == 0
    assert prune_by_age(None, 6 * DAY) == 1
    assert prune_by_age(2 * DAY, 6 * DAY) == 2

    assert (kept(success=True), kept(success=False)) == ([1], [1, 5])


@everywhere
def test_what_is_old_goes_in_batches_by_an_index(database: str) -> None:
    aged(False, *[9] * 25, 1, 1, 1)

    with CaptureQueriesContext(connections[database]) as queries:
        assert prune_by_age(2 * DAY, 2 * DAY, batch=10) == 25

    assert kept() == [1, 1, 1]
    texts = [query["sql"] for query in queries if "django_q_task" in query["sql"]]
    assert not any("result" in text for text in texts)
    # Three looks with a deletion each, and one that finds no successes.
    assert len(texts) == 7


def test_pruning_by_age_stops_in_time_too() -> None:
    aged(False, *[9] * 5)

    assert prune_by_age(None, 2 * DAY, batch=2, duration=0.0) == 2
