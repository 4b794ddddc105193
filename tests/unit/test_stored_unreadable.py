"""Values that cannot be read: their rows are shown, saved, dumped and loaded as they are."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import RequestFactory, override_settings

from django_q.admin import TaskAdmin
from django_q.exceptions import UnreadableValue
from django_q.models import Success, Task
from django_q.stored import seal_value
from tests.unit.test_models import make_task
from tests.unit.test_stored import in_column, put, unsigned

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(params=["other key", "no signature", "json", "damaged"])
def text(request: pytest.FixtureRequest) -> Iterator[str]:
    """What stands in the column of a value that cannot be read."""
    with override_settings(SECRET_KEY="another"):
        signed = str(seal_value("kept"))
    texts = {"other key": signed, "no signature": unsigned("kept"), "json": "~j.1:AAAA"}
    texts["damaged"] = f"{signed[:-9]}*"
    with override_settings(Q_CLUSTER={"legacy": "off"}):
        yield texts[request.param]


def test_the_row_can_be_saved(text: str) -> None:
    task = put(make_task("x", name="before"), text)

    task.name = "after"
    task.save()

    assert Task.objects.get(name="after") == task
    assert in_column(task) == text


def test_rows_can_be_saved_together(text: str) -> None:
    bad, good = put(make_task("x", name="before"), text), make_task("y", name="before")
    for task in (bad, good):
        task.name = "after"

    Task.objects.bulk_update([bad, good], ["name", "result"])

    assert set(Task.objects.values_list("name", flat=True)) == {"after"}
    assert in_column(bad) == text
    assert Task.objects.get(pk=good.pk).result == "y"


def test_a_row_can_be_made_anew_with_others(text: str) -> None:
    bad = put(make_task("x"), text)
    Task.objects.all().delete()

    Task.objects.bulk_create([bad])

    assert in_column(bad) == text


def test_the_row_can_be_checked(text: str) -> None:
    task = put(make_task("x"), text)

    task.full_clean(exclude=["hook"])  # a hook may not be blank, as in Django Q
    task.save()

    assert in_column(task) == text


@pytest.mark.parametrize("fields", [None, ["name", "result"], ["result"]])
def test_the_row_can_be_loaded_anew(text: str, fields: Any) -> None:
    task = make_task("x", name="before")
    put(task, text)
    Task.objects.filter(pk=task.pk).update(name="after")

    task.refresh_from_db(fields=fields)

    assert task.name == ("before" if fields == ["result"] else "after")
    assert task.args == (4,)
    with pytest.raises(UnreadableValue, match=rf"result of \[{task.pk}\]"):
        _ = task.result


def test_a_row_loaded_anew_from_rows_of_the_callers_choice(text: str) -> None:
    task = put(make_task("x", name="kept"), text)

    task.refresh_from_db(from_queryset=Task.objects.filter(success=True))
    with pytest.raises(Task.DoesNotExist):
        task.refresh_from_db(from_queryset=Task.objects.filter(success=False))

    assert task.name == "kept"


@pytest.mark.parametrize("form", ["json", "xml"])
def test_a_dump_that_is_loaded_gives_the_same_texts(text: str, tmp_path: Path, form: str) -> None:
    bad, good = put(make_task("x"), text), make_task({"a": (1,)})
    dump = tmp_path / f"tasks.{form}"
    call_command("dumpdata", "django_q.task", format=form, output=str(dump), verbosity=0)
    for is_there in (True, False):
        if not is_there:
            Task.objects.all().delete()

        call_command("loaddata", str(dump), verbosity=0, stdout=io.StringIO())

        assert in_column(bad) == text
        assert Task.objects.get(pk=good.pk).result == {"a": (1,)}
    assert text in dump.read_text()


def test_a_list_of_the_admin_that_shows_values_leaves_one_cell_empty(text: str) -> None:
    class WithResults(TaskAdmin):
        list_display = ("name", "result")

    put(make_task("x", name="bad"), text)
    make_task("fine", name="good")

    html = _changelist(WithResults(Success, admin.site))

    assert html.count('<td class="field-result">') == 2
    assert '<td class="field-result">-</td>' in html and "fine" in html


def _changelist(page: TaskAdmin) -> str:
    request = RequestFactory().get("/")
    request.user = User(is_superuser=True, is_staff=True, is_active=True)
    response: Any = page.changelist_view(request)
    return str(response.render().content.decode())


def test_an_error_made_by_hand_is_not_saved() -> None:
    task = make_task("x")
    before = in_column(task)

    task.result = UnreadableValue("made by hand")
    with pytest.raises(UnreadableValue):
        task.save()

    assert in_column(task) == before
