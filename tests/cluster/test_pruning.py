"""The housekeeper deletes old results by itself."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.utils import timezone

from django_q.models import (
    Attempt,
    Cancellation,
    Failure,
    GatheredPart,
    Ledger,
    Pace,
    Permit,
    Success,
    Task,
    Tracked,
    UniqueKey,
)
from django_q.tasks import async_task, fetch
from tests.waiting import wait_until

Start = Callable[..., Any]


def keep(name: str, days: int, success: bool) -> None:
    """A row that stopped so many days ago."""
    moment = timezone.now() - timedelta(days=days)
    values = {"func": "math.sqrt", "started": moment, "stopped": moment, "success": success}
    Task.objects.create(id=f"{name:0>32}", name=name, **values)


def test_old_results_go_by_number_and_by_age(
    database: str, q_cluster: Start, cluster: Start
) -> None:
    q_cluster(orm=database, workers=1, save_limit=2, keep_failures=3 * 86_400)
    for days in range(1, 6):
        keep(f"success {days}", days, True)
        keep(f"failure {days}", days, False)

    cluster()

    wait_until(lambda: Task.objects.count() == 4, 10, what="what has to go")
    assert {task.name for task in Success.objects.all()} == {"success 1", "success 2"}
    assert {task.name for task in Failure.objects.all()} == {"failure 1", "failure 2"}
    newest = async_task("tests.site.tasks.noop", task_name="newest")
    assert fetch(newest, wait=9_000) is not None
    wait_until(lambda: Success.objects.count() == 2, 10, what="one more")
    assert {task.name for task in Success.objects.all()} == {"success 1", "newest"}


def test_all_books_are_rid_of_their_old_rows(
    database: str, q_cluster: Start, cluster: Start
) -> None:
    q_cluster(orm=database, workers=1)
    task, old = "1" * 32, timezone.now() - timedelta(days=30)
    times = {"started": old, "stopped": old, "again_at": old}
    Ledger.objects.create(key="a")
    Ledger.objects.update(updated=old)
    # Without its gathering, so in a table of which the other one is empty.
    GatheredPart.objects.create(gathering=task, position=0, success=True, created=old)
    Attempt.objects.create(task=task, number=1, error="E", traceback="", **times)
    UniqueKey.objects.create(key="a", task=task, scope="time", until=old)
    Permit.objects.create(key="a", place=0, task=task, until=old)
    Pace.objects.create(key="a", next=old.timestamp())
    Cancellation.objects.create(task=task, asked=old, until=old)
    Tracked.objects.create(id=task, state="queued", enqueued=old, seen=old)
    books = (Ledger, GatheredPart, Attempt, UniqueKey, Permit, Pace, Cancellation, Tracked)

    cluster()

    wait_until(
        lambda: not [book for book in books if book.objects.exists()], 10, what="empty books"
    )
