"""The page of tasks under way: what it shows, and who may cancel from it."""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import quote
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_q.admin import acting
from django_q.brokers import get_broker
from django_q.exceptions import ResultsUnavailable
from django_q.models import Cancellation, Rejected, Task, Tracked
from django_q.scheduler import Scheduler
from django_q.stored import seal_value
from django_q.tasks import schedule
from tests.site import databases
from tests.site.tasks import RunsWhenOpened, write
from tests.unit.planned import MEMORY, NOW

from .desk import HTML, act, client_with, get, names, page


def make_tracked(id: str, **values: Any) -> Tracked:
    now = timezone.now()
    common: dict[str, Any] = {"name": f"task-{id}", "func": "shop.tasks.work", "queue": "default"}
    common |= {"state": "queued", "enqueued": now - timedelta(seconds=9), "seen": now}
    return Tracked.objects.create(id=id, **common | values)


def running(id: str, **values: Any) -> Tracked:
    started = {"started": timezone.now() - timedelta(seconds=5), "worker": "host:1"}
    return make_tracked(id, state="running", **started | values)


def test_the_list_shows_states_and_progress(client: Client) -> None:
    running("a", done=3, total=12, text=HTML)
    running("b", done=7, seen=timezone.now() - timedelta(hours=1))
    make_tracked("c")

    html = get(client, Tracked)

    assert '<progress value="3.0" max="12.0"></progress> 3 / 12 &lt;script&gt;' in html
    assert HTML not in html
    assert all(text in html for text in ("Running", "Lost sight of", "Queued", "host:1", "shop."))


def test_the_list_is_filtered_by_state_and_queue(client: Client) -> None:
    running("a")
    make_tracked("b", queue="mail")
    make_tracked("c")

    assert names(get(client, Tracked, state="running")) == ["task-a"]
    assert names(get(client, Tracked, queue="mail")) == ["task-b"]
    assert sorted(names(get(client, Tracked))) == ["task-a", "task-b", "task-c"]


def test_the_page_of_a_task_shows_its_arguments(client: Client) -> None:
    row = make_tracked("a", args=seal_value((1, "two")), kwargs=seal_value({"three": 3}))

    html = get(client, Tracked, row)

    assert "two" in html and "three" in html
    assert "Known only of tasks" in get(client, Tracked, running("b"))


def test_the_page_of_a_schedules_task_shows_its_arguments_and_opens_none(
    client: Client, q_cluster: Any, tmp_path: Path
) -> None:
    q_cluster(broker_class=MEMORY)
    trap = RunsWhenOpened(write, str(tmp_path / "opened"), "opened")
    options = {"track": True, "chain": [(write, (trap,))]}
    schedule(write, date(2026, 1, 1), trap, next_run=NOW, intended_date_kwarg="due", **options)

    Scheduler(get_broker()).run_due(NOW)

    html = get(client, Tracked, Tracked.objects.get())
    assert "datetime.date(2026, 1, 1)" in html
    assert NOW.isoformat() in html
    assert "open_part" not in html
    assert not (tmp_path / "opened").exists()


@pytest.mark.parametrize("database", databases.ALIASES, indirect=True)
def test_tasks_are_cancelled(client: Client) -> None:
    waiting = make_tracked("a", args=seal_value(()), kwargs=seal_value({}))
    busy = running("b")

    html = act(client, Tracked, "cancel", waiting, busy)

    assert "2 tasks were cancelled" in html
    row = Task.objects.get()
    assert (row.pk, row.status, row.args, row.attempt_count) == ("a", "cancelled", (), 0)
    assert {wish.task: wish.kill for wish in Cancellation.objects.all()} == {"a": False, "b": False}
    assert Tracked.objects.get() == busy


def test_a_task_is_killed_from_its_page(client: Client) -> None:
    busy = running("b")
    assert 'formaction="/admin/django_q/tracked/b/act/kill/"' in get(client, Tracked, busy)

    client.post(page(Tracked, "act", busy.pk, "kill"), follow=True)

    assert Cancellation.objects.get().kill


def test_cancelling_needs_a_permission_of_its_own(client: Client) -> None:
    busy = running("b")
    browser = client_with("view_tracked")

    html = get(browser, Tracked)
    answer = browser.post(page(Tracked, "act", busy.pk, "cancel"))

    assert 'value="cancel"' not in html
    assert answer.status_code == 403
    assert not Cancellation.objects.exists()


def test_who_has_it_is_offered_the_actions(client: Client) -> None:
    running("b")

    assert 'value="cancel"' in get(client_with("view_tracked", "cancel_tracked"), Tracked)


def test_more_than_a_list_holds_are_cancelled_in_parts_and_who_did_it_is_written_down(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acting, "COUNTED_ROWS", 5)
    monkeypatch.setattr(acting, "_TASKS", 2)
    rows = [running(str(number)) for number in range(7)]

    with CaptureQueriesContext(connection) as queries:
        html = act(client, Tracked, "cancel", *rows)

    assert "5 tasks were cancelled" in html and "do it again for the others" in html
    assert (Cancellation.objects.count(), LogEntry.objects.count()) == (5, 5)
    written = [query["sql"] for query in queries if 'INTO "django_admin_log"' in query["sql"]]
    assert len(written) == 3


def test_a_database_that_is_away_is_told_of(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cancel_all(task_ids: Sequence[str], kill: bool) -> None:
        raise ResultsUnavailable("Cancellations cannot be written today.")

    monkeypatch.setattr(acting, "cancel_all", cancel_all)

    html = act(client, Tracked, "cancel", running("a"))

    assert "Cancellations cannot be written today." in html
    assert "cancelled" not in html.replace("Cancellations", "")
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("model", [Rejected, Tracked])
@pytest.mark.parametrize("key", ["x", "1/2", "9" * 30])
def test_a_button_of_a_row_that_cannot_be_leads_to_the_list(
    client: Client, model: Any, key: str
) -> None:
    action = "cancel" if model is Tracked else "requeue"

    for method in (client.post, client.get):
        answer = method(page(model, "act", key, action))

        assert (answer.status_code, answer["Location"]) == (302, page(model))


def test_a_key_with_any_characters_has_its_buttons(client: Client) -> None:
    row = running("a/b_c:d")
    address = page(Tracked, "act", quote(row.pk), "cancel")
    assert f'formaction="{address}"' in client.get(page(Tracked, "change", quote(row.pk))).text

    answer = client.post(address)

    assert answer["Location"] == page(Tracked, "change", quote(row.pk))
    assert Cancellation.objects.get().task == row.pk
