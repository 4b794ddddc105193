"""The admin's pages: they show everything, escape it, and neither count nor run what they list."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from django_q import package, signing
from django_q.admin import looking, pages
from django_q.humanhash import uuid
from django_q.models import Failure, Ledger, OrmQ, Rejected, Schedule, Success, Task
from tests.site import databases
from tests.site.tasks import RunsWhenOpened, Unshowable, write

HTML = "<script>alert(1)</script>"
Configure = Callable[..., dict[str, Any]]


@pytest.fixture
def client(database: str, q_cluster: Configure) -> Client:
    """A browser of somebody who may do everything, where the ORM broker is used."""
    q_cluster(orm=database)
    browser = Client()
    browser.force_login(User.objects.create_superuser("root"))
    return browser


def browser_of(*permissions: str) -> Client:
    """A browser of somebody with these permissions."""
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    browser = Client()
    browser.force_login(user)
    return browser


def page(model: Any, kind: str = "changelist", row: Any = None) -> str:
    arguments = [] if row is None else [row.pk]
    return reverse(f"admin:django_q_{model._meta.model_name}_{kind}", args=arguments)


def get(client: Client, model: Any, kind: str = "changelist", row: Any = None) -> str:
    response = client.get(page(model, kind, row))
    assert response.status_code == 200
    return response.content.decode()


def make_task(result: Any = None, **fields: Any) -> Task:
    name, task_id = uuid()
    now = timezone.now()
    values = {"id": task_id, "name": name, "func": "math.sqrt", "args": (4,), "kwargs": {}}
    values |= {"started": now - timedelta(seconds=1.5), "stopped": now}
    return Task.objects.create(**values | {"result": result} | fields)


def make_queued(*args: Any, **options: Any) -> OrmQ:
    built = package.build_package("math.sqrt", args, {}, options)
    payload = package.seal_package(built, "default")
    return OrmQ.objects.create(key="default", payload=payload, lock=timezone.now())


@pytest.mark.parametrize("database", databases.ALIASES, indirect=True)
def test_every_page_opens_and_is_escaped(client: Client) -> None:
    good = make_task([HTML], name=HTML, group=HTML, args=(HTML,))
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
        for kind, shown in (("changelist", None), ("change", row), ("history", row)):
            text = get(client, model, kind, shown)

            assert HTML not in text, (model, kind)
            assert kind == "history" or "alert(1)" in text, (model, kind)


def test_a_list_runs_nothing_of_what_it_shows(client: Client, tmp_path: Path) -> None:
    mine = RunsWhenOpened(write, str(tmp_path / "ran"), "opened")
    make_task(args=(mine,), result=mine)
    make_task(args=(mine,), result=mine, success=False)
    row = make_queued(mine)
    (tmp_path / "ran").unlink(missing_ok=True)

    for model in (Success, Failure, OrmQ, Rejected):
        get(client, model)
    text = get(client, OrmQ, "change", row)

    assert "math.sqrt" in text
    assert "&lt;tests.site.tasks.write&gt;" in text
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("model", [Success, Failure, Schedule, OrmQ, Ledger, Rejected])
def test_a_list_counts_no_more_than_it_can_show(client: Client, model: Any) -> None:
    with CaptureQueriesContext(connection) as queries:
        get(client, model)

    counts = [query["sql"] for query in queries if "COUNT(" in query["sql"]]
    assert counts
    assert all(f"LIMIT {pages.COUNTED_ROWS}" in count for count in counts)


def test_a_list_needs_no_query_for_each_row(client: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            for model in (Success, Failure, Schedule, OrmQ):
                get(client, model)
        return len(captured)

    def add() -> None:
        for success in (True, False):
            Schedule.objects.create(func="f.g", task=make_task("text", success=success).pk)
        make_queued(4)

    add()
    get(client, Success)  # what the first request alone asks for
    before = queries()
    add()

    assert queries() == before


def test_a_failure_shows_the_beginning_of_its_error(client: Client) -> None:
    make_task("ValueError on purpose : Traceback" + "x" * 200, success=False)

    assert "ValueError on purpose" in get(client, Failure)


def test_a_result_that_cannot_be_shown_does_not_break_its_page(client: Client) -> None:
    task = make_task(Unshowable())

    assert "Unshowable instance at" in get(client, Success, "change", task)


def test_a_schedule_links_to_its_last_task(client: Client) -> None:
    task = make_task(name="last", success=False)
    Schedule.objects.create(func="f.g", task=task.pk)

    assert f'<a href="{page(Failure, "change", task)}">[last]</a>' in get(client, Schedule)


def resubmit(client: Client, model: Any, task: Task) -> str:
    data = {"action": "resubmit_task", "_selected_action": [task.pk]}
    response = client.post(page(model), data, follow=True)
    assert response.status_code == 200
    return response.content.decode()


def test_a_failure_is_resubmitted_and_leaves_the_list(client: Client) -> None:
    task = make_task("error", success=False, args=(1, "a"), kwargs={"b": 2}, group="g", cluster="c")

    text = resubmit(client, Failure, task)

    sent = OrmQ.objects.get()
    assert (sent.key, sent.args(), sent.kwargs(), sent.group()) == ("c", (1, "a"), {"b": 2}, "g")
    assert "1 task was resubmitted" in text
    assert not Task.objects.exists()


def test_a_success_is_resubmitted_and_stays(client: Client) -> None:
    task = make_task(2.0)

    resubmit(client, Success, task)

    assert OrmQ.objects.get().task_id() != task.id
    assert Task.objects.get() == task


def test_a_task_whose_arguments_are_gone_stays_with_a_message(client: Client) -> None:
    task = make_task("error", success=False)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_q_task SET args = 'no pickle'")

    assert "arguments cannot be read" in resubmit(client, Failure, task)
    assert Task.objects.exists()
    assert not OrmQ.objects.exists()


def test_who_may_only_look_cannot_resubmit(client: Client) -> None:
    task = make_task("error", success=False)

    resubmit(browser_of("view_failure"), Failure, task)

    assert not OrmQ.objects.exists()


def test_nothing_of_a_task_can_be_changed(client: Client) -> None:
    task = make_task("kept", args=(1,))

    client.post(page(Success, "change", task), {"name": "x", "func": "x", "result": "x"})

    task.refresh_from_db()
    assert (task.func, task.result, task.args) == ("math.sqrt", "kept", (1,))


def test_a_queued_package_can_be_moved_held_back_and_deleted(client: Client) -> None:
    row = make_queued(4)
    payload = row.payload
    moved = {"key": "other", "lock_0": "2030-01-01", "lock_1": "12:00:00", "payload": "x"}

    assert client.post(page(OrmQ, "change", row), moved).status_code == 302
    row = OrmQ.objects.get()
    assert (row.key, row.lock.year, row.payload) == ("other", 2030, payload)
    client.post(page(OrmQ, "delete", row), {"post": "yes"})
    assert not OrmQ.objects.exists()


@pytest.mark.parametrize("payload", ["", "nonsense", "~p.AAAA:x:y", ".AAAA:x:y", "~pz.AAAA:x:y"])
def test_a_package_that_cannot_be_seen_does_not_break_the_list(
    client: Client, payload: str
) -> None:
    OrmQ.objects.create(key="default", payload=payload)

    assert "default" in get(client, OrmQ)


def test_the_queue_is_hidden_where_another_broker_is_used(
    client: Client, q_cluster: Configure
) -> None:
    q_cluster(redis={})

    assert client.get(page(OrmQ)).status_code == 403
    assert page(OrmQ) not in client.get(reverse("admin:index")).content.decode()
    q_cluster(redis={}, testing=True)
    assert client.get(page(OrmQ)).status_code == 200


@pytest.mark.parametrize("model", [Ledger, Rejected])
def test_the_books_are_only_read(client: Client, model: Any) -> None:
    fields = {"key": "a"} if model is Ledger else {"queue": "a", "digest": "a"}
    row = model.objects.create(**fields)

    for kind in ("change", "delete"):
        assert client.post(page(model, kind, row), {"post": "yes"}).status_code == 403
    assert client.get(page(model, "add")).status_code == 403
    assert model.objects.count() == 1


# Looking into pickles.


@pytest.mark.parametrize("compressed", [False, True])
def test_packages_of_both_formats_can_be_looked_into(
    compressed: bool, database: str, q_cluster: Configure
) -> None:
    q_cluster(compress=compressed)
    built = package.build_package("math.sqrt", ("4" * 500,), {}, {"group": "g"})

    for payload in (package.seal_package(built, "q"), signing.SignedPackage.dumps(built)):
        assert looking.look_into_package(payload) == built


def test_a_package_that_grows_too_large_is_not_looked_into(q_cluster: Configure) -> None:
    q_cluster(compress=True)
    built = package.build_package("math.sqrt", ("4" * 1_000_000,), {}, {})

    assert looking.look_into_package(package.seal_package(built, "q")) == {}


def test_what_is_shown_is_limited() -> None:
    endless: list[Any] = []
    for _ in range(100):
        endless = [endless, endless]

    assert len(looking.show(endless)) < 20_000
    assert len(looking.show(list(range(1_000_000)))) < 1000
    assert looking.show("x" * 200, 100) == "x" * 99 + "…"
