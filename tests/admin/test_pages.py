"""Every page opens, escapes what it shows, and runs none of it."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from django_q.models import Failure, Ledger, OrmQ, Rejected, Schedule, Success
from django_q.results import attempts
from tests.site import databases
from tests.site.tasks import RunsWhenOpened, Unshowable, write

from .desk import HTML, client_with, get, make_queued, make_task, page


@pytest.mark.parametrize("database", databases.ALIASES, indirect=True)
def test_every_page_opens_and_is_escaped(client: Client) -> None:
    good = make_task([HTML], name=HTML, group=HTML, func=HTML, args=(HTML,))
    bad = make_task(HTML, name=HTML, success=False)
    rows = [
        (Success, good),
        (Failure, bad),
        (Schedule, Schedule.objects.create(name=HTML, func=HTML, task=bad.pk)),
        (OrmQ, make_queued(HTML, task_name=HTML, group=HTML)),
        (Ledger, Ledger.objects.create(key=HTML, reason=HTML)),
        (Rejected, Rejected.objects.create(queue=HTML, payload=HTML, reason=HTML, digest="d")),
    ]
    for model, row in rows:
        for kind, arguments in (("changelist", []), ("change", [row.pk]), ("history", [row.pk])):
            response = client.get(page(model, kind, *arguments))

            assert response.status_code == 200, (model, kind)
            text = response.content.decode()
            assert HTML not in text, (model, kind)
            assert kind == "history" or "alert(1)" in text, (model, kind)


def test_no_page_runs_anything_of_what_it_shows(client: Client, tmp_path: Path) -> None:
    mine = RunsWhenOpened(write, str(tmp_path / "ran"), "opened")
    good, bad = (make_task(mine, args=(mine,), success=success) for success in (True, False))
    queued = make_queued(mine)
    payload = queued.payload
    rejected = Rejected.objects.create(queue="default", payload=payload, reason="r", digest="d")
    (tmp_path / "ran").unlink(missing_ok=True)

    for model, row in ((Success, good), (Failure, bad), (OrmQ, queued), (Rejected, rejected)):
        get(client, model)
        assert "tests.site.tasks.write(" in get(client, model, row)

    assert not (tmp_path / "ran").exists()


def test_the_attempts_before_a_run_are_shown_and_escaped(client: Client) -> None:
    task = make_task(1, attempt_count=3)
    moment, error = timezone.now(), f"{HTML} : Traceback (most recent call last):\n{HTML}"
    attempts.write(
        [(task.pk, n, moment, moment, HTML, "builtins.OSError", error, moment) for n in (1, 2)]
    )

    text = get(client, Success, task)

    assert text.count('class="django-q-attempt"') == 2
    assert HTML not in text
    assert "Failed attempts" not in get(client, Success, make_task(2, attempt_count=3))


def test_the_order_of_a_task_is_shown_where_it_had_one(client: Client) -> None:
    due = timezone.now()
    urgent = make_task(1, priority=-37, run_at=due)

    text = get(client, Success, urgent)

    assert "Not before" in text and "-37" in text
    assert f"{due.microsecond // 1000:03}" in text
    assert "Not before" not in get(client, Success, make_task(2))


def test_waiting_and_running_are_shown_apart(client: Client) -> None:
    task = make_task(2.0)

    for text in (get(client, Success), get(client, Success, task)):
        assert "3.0 s" in text
        assert "734 ms" in text


def test_a_row_of_django_q_2_says_that_waiting_is_in_its_time(client: Client) -> None:
    task = make_task(2.0, enqueued=None)

    for text in (get(client, Success), get(client, Success, task)):
        assert "≤ 734 ms" in text
    assert ">None<" not in text


def test_a_failure_shows_its_error_apart_from_the_traceback(client: Client) -> None:
    frames = "".join(f'  File "f.py", line {n}, in f{n}\n    g()\n' for n in range(30))
    error = f"on purpose : Traceback (most recent call last):\n{frames}ValueError: on purpose"
    task = make_task(error, success=False)

    text = get(client, Failure, task)

    assert '<p class="django-q-error">on purpose</p>' in text
    assert "46 more lines" in text
    assert "on purpose</td>" in get(client, Failure)


@pytest.mark.parametrize("result", ["", "x" * 1_000_000, None, {"text": "x" * 300_000}])
def test_an_unusual_result_does_not_break_its_pages(client: Client, result: Any) -> None:
    for success, model in ((True, Success), (False, Failure)):
        task = make_task(result, success=success)

        get(client, model)
        get(client, model, task)


def test_a_damaged_result_is_told(client: Client) -> None:
    task = make_task("error", success=False)
    # A text is pickled as it is given to update(); this one is the base64 of no pickle.
    Failure.objects.filter(pk=task.pk).update(result=Unshowable())

    assert "Unshowable" in get(client, Failure, task)


def test_nothing_of_a_task_can_be_changed(client: Client) -> None:
    task = make_task("kept", args=(1,))

    address = page(Success, "change", task.pk)
    client.post(address, {"name": "x", "func": "x", "result": "x"})

    task.refresh_from_db()
    assert (task.func, task.result, task.args) == ("math.sqrt", "kept", (1,))


def test_a_schedule_links_to_its_last_task(client: Client) -> None:
    task = make_task(name="last", success=False)
    Schedule.objects.create(func="f.g", task=task.pk)

    assert f'<a href="{page(Failure, "change", task.pk)}">[last]</a>' in get(client, Schedule)


def test_a_queued_package_can_be_moved_held_back_and_deleted(client: Client) -> None:
    row = make_queued(4)
    payload = row.payload
    moved = {"key": "other", "lock_0": "2030-01-01", "lock_1": "12:00:00", "payload": "x"}

    assert client.post(page(OrmQ, "change", row.pk), moved).status_code == 302
    row = OrmQ.objects.get()
    assert (row.key, row.lock.year, row.payload) == ("other", 2030, payload)
    client.post(page(OrmQ, "delete", row.pk), {"post": "yes"})
    assert not OrmQ.objects.exists()


def test_the_queue_tells_what_waits_and_what_is_leased(client: Client) -> None:
    later = timezone.now() + timedelta(hours=1)
    states = {"waiting": make_queued(1), "delayed": make_queued(2), "leased": make_queued(3)}
    OrmQ.objects.filter(pk=states["delayed"].pk).update(lock=later)
    OrmQ.objects.filter(pk=states["leased"].pk).update(lock=later, token="t")

    for state, row in states.items():
        text = get(client, OrmQ, state=state)

        assert f"{state.capitalize()}</td>" in text
        assert page(OrmQ, "change", row.pk) in text
        assert text.count('class="action-select"') == 1


@pytest.mark.parametrize(
    "payload", ["", "nonsense", "~p.AAAA:x:y", ".AAAA:x:y", "~pz.AAAA:x:y", "~b", "~b" + "A" * 60]
)
def test_a_package_that_cannot_be_seen_does_not_break_its_pages(
    client: Client, payload: str
) -> None:
    row = OrmQ.objects.create(key="default", payload=payload)
    rejected = Rejected.objects.create(queue="q", payload=payload, reason="r", digest="d")

    assert "default" in get(client, OrmQ)
    get(client, OrmQ, row)
    assert "It cannot be looked into." in get(client, Rejected, rejected)


def test_the_queue_is_hidden_where_another_broker_is_used(client: Client, q_cluster: Any) -> None:
    q_cluster(redis={})

    assert client.get(page(OrmQ)).status_code == 403
    assert page(OrmQ) not in client.get(reverse("admin:index")).content.decode()
    q_cluster(redis={}, testing=True)
    assert client.get(page(OrmQ)).status_code == 200


def test_the_ledger_is_only_read(client: Client) -> None:
    row = Ledger.objects.create(key="a")

    for kind in ("change", "delete"):
        assert client.post(page(Ledger, kind, row.pk), {"post": "yes"}).status_code == 403
    assert client.get(page(Ledger, "add")).status_code == 403
    assert Ledger.objects.count() == 1


def test_who_may_look_sees_no_buttons(client: Client) -> None:
    task = make_task("error", success=False)

    text = get(client_with("view_failure"), Failure, task)

    assert "django-q-button" not in text
