"""Pages open no pickle, of strangers or our own: each leaves a file when it is opened."""

import base64
import pickle
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client, override_settings
from django.utils import timezone

from django_q import schedule_arguments, signing
from django_q.admin import TaskAdmin
from django_q.models import (
    Delayed,
    Failure,
    OrmQ,
    Rejected,
    Schedule,
    Success,
    Tracked,
)
from django_q.status import Stat
from django_q.stored import open_value, seal_value
from tests.site.tasks import RunsWhenOpened, write

from .desk import act, get, make_queued, make_task
from .test_under_way import make_tracked


class Trap:
    """A value that leaves a file when its pickle is opened, in each form that a row may have."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.value = RunsWhenOpened(write, str(path), "opened")
        self.unsigned = base64.b64encode(pickle.dumps(self.value)).decode()
        self.signed = str(seal_value(self.value))
        data = base64.b64decode(self.signed)
        self.changed = base64.b64encode(data[:-1] + bytes([data[-1] ^ 1])).decode()

    def __call__(self) -> Any:
        """The value, whose file is gone again."""
        self.path.unlink(missing_ok=True)
        return self.value


@pytest.fixture
def trap(client: Client, tmp_path: Path) -> Trap:
    return Trap(tmp_path / "opened")


def fill(table: str, text: str, *columns: str, key: str = "") -> None:
    """Write into columns of a row, or of all, past the models."""
    sets = ", ".join(f"{column} = %s" for column in columns)
    which = "WHERE id = %s" if key else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} SET {sets} {which}",  # noqa: S608
            [text] * len(columns) + [key] * bool(key),
        )


def make_rows(trap: Trap) -> list[tuple[Any, Any]]:
    """Rows for each list, with packages and arguments that our own key signed."""
    queued = make_queued(trap())
    payload = signing.seal(trap(), "task", "default")
    kept = schedule_arguments.keep((trap(),), {"key": trap()}, {})
    rows = [
        (Schedule, Schedule.objects.create(name="n", func="f.g", **kept._asdict())),
        (OrmQ, queued),
        (Rejected, Rejected.objects.create(queue="q", payload=payload, reason="r", digest="d")),
        (
            Delayed,
            Delayed.objects.create(task="n", queue="q", payload=payload, due=timezone.now()),
        ),
    ]
    for text in (trap.signed, trap.unsigned, trap.changed):
        task, tracked = make_task(1, name="n"), make_tracked(text[:9] + text[-9:])
        fill("django_q_task", text, "args", "kwargs", "result", key=task.pk)
        fill("django_q_tracked", text, "args", "kwargs", key=tracked.pk)
        failed = make_task(1, name="n", success=False)
        fill("django_q_task", text, "args", "kwargs", "result", key=failed.pk)
        rows += [(Success, task), (Failure, failed), (Tracked, tracked)]
    return rows


def test_neither_lists_nor_pages_open_a_pickle(
    client: Client, trap: Trap, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = make_rows(trap)
    Stat(uuid.uuid4(), 17, name="default").save()
    loads, opened = pickle.loads, []
    monkeypatch.setattr(pickle, "loads", lambda data: opened.append(data) or loads(data))

    for model in dict(rows):
        assert "<tbody>" in get(client, model), model
        get(client, model, q="n", o="-1")
    for model, row in rows:
        get(client, model, row)

    assert not opened
    assert not trap.path.exists()
    # It would have been noticed.
    assert open_value(trap.signed) is None
    assert opened and trap.path.exists()


def test_a_page_says_of_a_value_why_it_does_not_show_it(
    client: Client, trap: Trap, q_cluster: Any
) -> None:
    task, tracked = make_task(1), make_tracked("a", args=trap.changed, kwargs=trap.changed)
    fill("django_q_task", trap.changed, "result")
    for model, row in ((Success, task), (Tracked, tracked)):
        assert "signature of the stored value does not match" in get(client, model, row)

    fill("django_q_task", trap.unsigned, "result")
    assert "tests.site.tasks.write(" in get(client, Success, task)
    q_cluster(orm="default", legacy="off")
    assert "The stored value has no signature" in get(client, Success, task)


def test_a_page_of_a_subclass_that_shows_the_value_itself_opens_too(
    client: Client, trap: Trap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TaskAdmin, "fields", ("name", "result"))
    task = make_task({"a": 1})
    assert "&#x27;a&#x27;: 1" in get(client, Success, task)

    fill("django_q_task", trap.changed, "result")

    assert "field-result" in get(client, Success, task)
    assert not trap.path.exists()


def test_pages_open_with_another_key(client: Client, trap: Trap) -> None:
    good, bad = make_task({"a": 1}), make_task("error", success=False)
    assert "&#x27;a&#x27;: 1" in get(client, Success, good)

    with override_settings(SECRET_KEY="another"):
        client.force_login(_root())
        assert "cannot be shown" in get(client, Failure)
        for model, row in ((Success, good), (Failure, bad)):
            assert "SECRET_KEY_FALLBACKS" in get(client, model, row)
        text = act(client, Failure, "resubmit_task", bad)

    assert "arguments cannot be read" in text
    assert Failure.objects.get().pk == bad.pk


def test_json_is_shown_as_what_it_stands_for(client: Client, q_cluster: Any) -> None:
    q_cluster(orm="default", serializer="json")
    task, failed = make_task((1, {2}), args=("one",)), make_task("a < b", success=False)

    text = get(client, Success, task)

    assert "(1, {2})" in text and "(&#x27;one&#x27;,)" in text
    assert "a &lt; b" in get(client, Failure)
    assert "a &lt; b" in get(client, Failure, failed)


def _root() -> Any:
    return get_user_model().objects.get(username="root")
