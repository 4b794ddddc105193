"""The page of tasks under way: what it shows, and who may cancel from it."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from django_q.models import Cancellation, Task, Tracked
from django_q.results.base import encode_value
from tests.site import databases

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
    row = make_tracked("a", args=encode_value((1, "two")), kwargs=encode_value({"three": 3}))

    html = get(client, Tracked, row)

    assert "two" in html and "three" in html
    assert "Known only of tasks" in get(client, Tracked, running("b"))


@pytest.mark.parametrize("database", databases.ALIASES, indirect=True)
def test_tasks_are_cancelled(client: Client) -> None:
    waiting = make_tracked("a", args=encode_value(()), kwargs=encode_value({}))
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
