"""Tasks and rejected packages are sent once more: by whom, how many, and exactly once."""

import threading
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection, connections
from django.test import Client

from django_q import package, sealed
from django_q.admin import acting
from django_q.enqueue import async_task
from django_q.exceptions import BrokerUnavailable
from django_q.models import Failure, OrmQ, Rejected, Success, Task, Tracked, UniqueKey
from tests.site import databases

from .desk import act, client_with, get, make_task, page


def press(client: Client, model: Any, row: Any, action: str) -> Any:
    """The answer to a button on the page of a row."""
    return client.post(page(model, "act", row.pk, action), follow=True)


@pytest.mark.parametrize("database", databases.ALIASES, indirect=True)
def test_a_failure_is_resubmitted_and_leaves_the_list(client: Client) -> None:
    values = {"args": (1, "a"), "kwargs": {"b": 2}, "group": "g", "cluster": "c"}
    task = make_task("error", success=False, **values)

    text = act(client, Failure, "resubmit_task", task)

    sent = OrmQ.objects.get()
    assert (sent.key, sent.args(), sent.kwargs(), sent.group()) == ("c", (1, "a"), {"b": 2}, "g")
    assert "1 task was resubmitted" in text
    assert not Task.objects.exists()


def test_a_success_is_resubmitted_and_stays(client: Client) -> None:
    task = make_task(2.0)

    act(client, Success, "resubmit_task", task)

    assert OrmQ.objects.get().task_id() != task.id
    assert Task.objects.get() == task


def test_one_task_is_resubmitted_from_its_page(client: Client) -> None:
    good, bad = make_task(2.0), make_task("error", success=False)

    answer = press(client, Success, good, "resubmit_task")
    assert answer.redirect_chain == [(page(Success, "change", good.pk), 302)]
    answer = press(client, Failure, bad, "resubmit_task")

    assert answer.redirect_chain == [(page(Failure), 302)]
    assert OrmQ.objects.count() == 2


def test_a_link_to_a_button_does_nothing(client: Client) -> None:
    task = make_task("error", success=False)

    answer = client.get(page(Failure, "act", task.pk, "resubmit_task"))

    assert answer.status_code == 302
    assert not OrmQ.objects.exists()


def test_only_buttons_can_be_pressed(client: Client) -> None:
    task = make_task("error", success=False)

    assert press(client, Failure, task, "delete_selected").status_code == 403


def test_all_that_match_are_resubmitted(client: Client) -> None:
    wanted = [make_task("e", success=False, func="m.wanted", ago=n) for n in range(7)]
    other = make_task("e", success=False, func="m.other")

    act(client, Failure, "resubmit_task", wanted[0], query="?q=wanted", select_across="1")

    assert OrmQ.objects.count() == 7
    assert Failure.objects.get() == other


def test_more_than_a_list_holds_are_resubmitted_in_parts(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acting, "COUNTED_ROWS", 5)
    monkeypatch.setattr(acting, "_TASKS", 2)
    tasks = [make_task("e", success=False) for _ in range(7)]

    text = act(client, Failure, "resubmit_task", tasks[0], select_across="1")

    assert "5 tasks were resubmitted" in text
    assert "do it again" in text
    assert (OrmQ.objects.count(), Failure.objects.count()) == (5, 2)


def test_who_resubmitted_stands_in_the_history(client: Client) -> None:
    task = make_task("error", success=False)

    act(client, Failure, "resubmit_task", task)

    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.change_message) == (task.pk, "Resubmitted.")
    assert entry.content_type.model == "failure"


def test_a_task_whose_arguments_are_gone_stays_with_a_message(client: Client) -> None:
    bad, good = make_task("error", success=False), make_task("error", success=False)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_q_task SET args = 'no pickle' WHERE id = %s", [bad.pk])

    text = act(client, Failure, "resubmit_task", bad, good)

    assert "arguments cannot be read" in text
    assert "1 task was resubmitted" in text
    assert Task.objects.get() == bad
    assert OrmQ.objects.count() == 1


def test_nothing_leaves_the_list_when_the_broker_is_away(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send(packages: Any) -> None:
        raise BrokerUnavailable("The broker is away.")

    monkeypatch.setattr(acting, "send", send)
    task = make_task("error", success=False)

    text = act(client, Failure, "resubmit_task", task)

    assert "The broker is away." in text
    assert "resubmitted" not in text.replace("resubmit_task", "")
    assert Failure.objects.get() == task


def test_where_tasks_run_in_place_a_failing_one_is_a_new_failure(
    client: Client, q_cluster: Any
) -> None:
    q_cluster(sync=True, orm="default")
    bad, good = (make_task("old error", success=False, args=args) for args in ((-1,), (4,)))

    text = act(client, Failure, "resubmit_task", bad, good)

    assert "math domain error" in text or "expected a nonnegative" in text
    assert "old error" not in str([task.result for task in Failure.objects.all()])
    assert Failure.objects.count() == Success.objects.count() == 1


@pytest.mark.parametrize("database", ["postgres", "mariadb"], indirect=True)
def test_two_who_press_at_once_send_a_failure_once(client: Client, database: str) -> None:
    tasks = [make_task("error", success=False) for _ in range(20)]
    both = threading.Barrier(2)

    def send() -> None:
        both.wait(10)
        acting.resubmit(Failure.objects.filter(pk__in=[task.pk for task in tasks]))
        connections[database].close()

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert OrmQ.objects.count() == 20
    assert not Failure.objects.exists()


@pytest.mark.parametrize("model", [Success, Failure])
def test_resubmitting_has_a_permission_of_its_own(client: Client, model: Any) -> None:
    task = make_task("text", success=model is Success)
    name = model._meta.model_name
    browser = client_with(f"view_{name}", f"change_{name}", f"delete_{name}")

    act(browser, model, "resubmit_task", task)
    assert press(browser, model, task, "resubmit_task").status_code == 403
    assert not OrmQ.objects.exists()
    browser.logout()
    User.objects.get(username="clerk").delete()
    browser = client_with(f"view_{name}", f"resubmit_{name}")
    assert "django-q-button" in get(browser, model, task)
    act(browser, model, "resubmit_task", task)

    assert OrmQ.objects.count() == 1


# Rejected packages.


def make_rejected(number: int = 1, queue: str = "default") -> Rejected:
    built = package.build_package("math.sqrt", (number,), {}, {})
    payload = sealed.seal_package(built, queue)
    digest = Rejected.digest_of(queue, payload)
    return Rejected.objects.create(queue=queue, payload=payload, reason="r", digest=digest)


def test_rejected_packages_go_back_into_their_queues(client: Client) -> None:
    rows = [make_rejected(1), make_rejected(2, "other"), make_rejected(3)]

    text = act(client, Rejected, "requeue", *rows)

    assert "3 packages were requeued" in text
    found = OrmQ.objects.order_by("pk").values_list("key", "payload")
    assert set(found) == {(row.queue, row.payload) for row in rows}
    assert not Rejected.objects.exists()


def test_one_rejected_package_goes_back_from_its_page(client: Client) -> None:
    row = make_rejected()

    answer = press(client, Rejected, row, "requeue")

    assert answer.redirect_chain == [(page(Rejected), 302)]
    assert OrmQ.objects.get().payload == row.payload


def test_rejected_packages_can_be_deleted_and_not_changed(client: Client) -> None:
    rows = [make_rejected(1), make_rejected(2)]

    assert client.post(page(Rejected, "change", rows[0].pk), {"queue": "x"}).status_code == 403
    act(client, Rejected, "delete_selected", rows[0], post="yes")
    client.post(page(Rejected, "delete", rows[1].pk), {"post": "yes"})

    assert not Rejected.objects.exists()


def test_letting_in_and_deleting_have_permissions_of_their_own(client: Client) -> None:
    row = make_rejected()
    browser = client_with("view_rejected", "change_rejected")

    act(browser, Rejected, "requeue", row)
    act(browser, Rejected, "delete_selected", row, post="yes")

    assert press(browser, Rejected, row, "requeue").status_code == 403
    assert Rejected.objects.get() == row
    assert not OrmQ.objects.exists()


@pytest.mark.parametrize("count", [1, 3])
def test_a_unique_task_whose_package_is_deleted_may_be_sent_again(
    client: Client, count: int
) -> None:
    for number in range(count):
        async_task("math.sqrt", number, unique=str(number), track=True)
    other = async_task("math.sqrt", 9, unique="other", track=True)
    rows = [row for row in OrmQ.objects.all() if row.task_id() != other]

    if count == 1:
        client.post(page(OrmQ, "delete", rows[0].pk), {"post": "yes"})
    else:
        act(client, OrmQ, "delete_selected", *rows, post="yes")

    assert OrmQ.objects.get().task_id() == other
    assert UniqueKey.objects.get().task == other
    assert Tracked.objects.get().pk == other
