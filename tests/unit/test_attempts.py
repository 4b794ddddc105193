"""The history of tasks that are run more than once, in every database."""

from datetime import timedelta

import pytest
from django.utils import timezone

from django_q.models import Attempt
from django_q.package import Outcome, build_package
from django_q.results import attempts
from django_q.results.attempts import Ending
from django_q.results.base import Row
from django_q.results.database import DatabaseStore
from tests.site import databases
from tests.unit.rows import make_row

pytestmark = pytest.mark.usefixtures("database")
#: How long the runs of `make_row` take.
_TOOK = timedelta(seconds=1)
everywhere = pytest.mark.parametrize("database", databases.ALIASES, indirect=True)


@pytest.fixture
def store(database: str) -> DatabaseStore:
    return DatabaseStore()


@everywhere
def test_it_tells_how_a_run_ended_if_it_is_recorded(store: DatabaseStore) -> None:
    good, bad = make_row(), make_row("error", success=False)
    last = make_row("error", success=False)._replace(attempt_count=3, cause="timeout")
    store.save([good, bad, last])

    assert store.ending(good.id, 1) == Ending(True, took=_TOOK)
    # A first run that failed may be one that comes back.
    assert store.ending(bad.id, 1) is None
    assert store.ending(last.id, 3) == Ending(False, None, "timeout", _TOOK)
    assert store.ending(last.id, 4) is None
    assert store.ending("0" * 32, 1) is None


@everywhere
def test_it_tells_of_a_run_that_was_followed_by_another(store: DatabaseStore) -> None:
    now = timezone.now()
    task_id = "0" * 32
    attempts.write([(task_id, 1, now, now, "host:1", "builtins.ValueError", "text", now)] * 2)

    assert store.ending(task_id, 1) == Ending(False, now)
    assert store.ending(task_id, 2) is None
    store.save([make_row()._replace(id=task_id)])
    assert store.ending(task_id, 1) == Ending(True, took=_TOOK)


def test_the_text_of_an_attempt_is_one_that_every_database_takes() -> None:
    assert attempts._storable("a\0b\ud800", 100) == "a\\0b\\ud800"


def test_attempts_go_when_they_are_old_or_alone() -> None:
    now = timezone.now()
    kept, task_id = make_row(), "1" * 32
    DatabaseStore().save([kept])

    def write(task_id: str, number: int, age: timedelta) -> None:
        attempts.write([(task_id, number, now - age, now - age, None, "E", "t", now - age)])

    write(kept.id, 1, timedelta(days=15))
    write(kept.id, 2, timedelta(days=13))
    write(task_id, 1, timedelta(days=2))
    write(task_id, 2, timedelta(hours=1))

    assert attempts.drop_old() == 2
    left = set(Attempt.objects.values_list("task", "number"))
    assert left == {(kept.id, 2), (task_id, 2)}


@everywhere
def test_the_recorded_result_of_a_task_is_opened_again(store: DatabaseStore) -> None:
    good = make_row({"answer": 42})
    late = make_row("error", success=False)._replace(cause="timeout")
    store.save([good, late])
    now = timezone.now()

    def found(row: Row) -> Outcome:
        package = build_package("a.b", (), {}, {}) | {"id": row.id}
        return attempts.last_outcome(Outcome(package, row.success, None, now, now))

    assert found(good).result == {"answer": 42}
    assert found(late)[1:3] == (False, "error")
    assert found(late).cause == "timeout"
