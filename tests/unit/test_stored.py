"""Values at rest: signed, opened for nobody else, and read from rows of before."""

import base64
import decimal
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core import serializers
from django.db import connection
from django.test import override_settings
from picklefield.fields import PickledObjectField, dbsafe_decode

from django_q.conf import Conf
from django_q.exceptions import FailedResult, TaskFailed, UnreadableValue
from django_q.models import GatheredPart, Task
from django_q.results.gatherings import gather
from django_q.stored import contents, open_value, seal_value
from django_q.tasks import async_task, fetch, result, result_group, result_or_raise
from tests.site.tasks import RunsWhenOpened, Unshowable, echo
from tests.unit.test_models import make_task
from tests.unit.test_signing import VALUES

Configure = Callable[..., Any]

_opened: list[str] = []


@pytest.fixture(autouse=True)
def settings(database: str, q_cluster: Configure) -> Iterator[Configure]:
    _opened.clear()
    q_cluster(broker_class="django_q.brokers.memory.Memory")
    yield q_cluster


def note() -> str:
    """Leave a trace of being opened."""
    _opened.append("opened")
    return "opened"


def unsigned(value: Any) -> str:
    """A value as Django Q wrote it."""
    return base64.b64encode(pickle.dumps(value)).decode()


def put(task: Task, text: str) -> Task:
    """Write into a column past the model, as somebody with a database client does."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_q_task SET result = %s WHERE id = %s", [text, task.pk])
    return Task.objects.get(pk=task.pk)


def in_column(task: Task) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT result FROM django_q_task WHERE id = %s", [task.pk])
        return str(cursor.fetchone()[0])


# There and back.


@pytest.mark.parametrize("serializer", ["pickle", "json"])
@pytest.mark.parametrize("value", [*VALUES, (), {}, echo], ids=lambda value: repr(value)[:12])
def test_what_goes_in_comes_out(settings: Configure, value: Any, serializer: str) -> None:
    settings(serializer=serializer)

    text = seal_value(value)

    assert text is None or text.isascii()
    assert open_value(text) == value


@pytest.mark.parametrize("value", [*VALUES[1:], (), {}], ids=lambda value: repr(value)[:12])
def test_django_q2_reads_what_we_write(value: Any) -> None:
    assert PickledObjectField().from_db_value(seal_value(value), None, None) == value
    assert dbsafe_decode(seal_value(value)) == value


def test_where_django_q2_runs_beside_it_no_json_is_written(settings: Configure) -> None:
    settings(serializer="json", legacy="write")

    assert dbsafe_decode(seal_value([1])) == [1]


def test_json_can_be_read_by_people(settings: Configure) -> None:
    settings(serializer="json")

    text = str(seal_value({"price": decimal.Decimal("1.50")}))

    assert text.startswith('~j.{"price":{"!decimal":"1.50"}}:')
    assert len(text.rpartition(":")[2]) == 43


def test_what_has_no_form_in_json_is_pickled_unless_pickles_are_refused(
    settings: Configure,
) -> None:
    settings(serializer="json")
    assert isinstance(open_value(seal_value(Unshowable())), Unshowable)

    settings(serializer="json", pickles=False, sync=True)
    with pytest.raises(TypeError, match="no form in JSON"):
        async_task("tests.site.tasks.give_unshowable")

    assert "(Unshowable) could not be stored: a tests.site" in Task.objects.get().result


def test_where_pickles_are_refused_a_function_is_kept_as_its_path(settings: Configure) -> None:
    settings(serializer="json", pickles=False)

    assert open_value(seal_value([echo])) == ["tests.site.tasks.echo"]


def test_models_and_functions_are_kept_too() -> None:
    task = make_task(len, args=(make_task(1),))

    found = Task.objects.get(pk=task.pk)

    assert found.result is len
    assert found.args[0].result == 1
    assert open_value(in_column(task)) is len


def test_rows_are_found_by_their_values() -> None:
    task = make_task({"a": 1})

    assert Task.objects.get(result={"a": 1}) == task
    Task.objects.filter(pk=task.pk).update(result=[2])
    assert list(Task.objects.values_list("result", flat=True)) == [[2]]


def test_a_fixture_keeps_the_values() -> None:
    make_task({"a": (1,)}, name="kept")
    text = serializers.serialize("json", Task.objects.all())
    Task.objects.all().delete()

    for loaded in serializers.deserialize("json", text):
        loaded.save()

    assert Task.objects.get(name="kept").result == {"a": (1,)}


# What is not ours.


@pytest.mark.parametrize("serializer", ["pickle", "json"])
@pytest.mark.parametrize("place", [4, 20, -30, -3])
def test_one_changed_character_is_noticed(settings: Configure, place: int, serializer: str) -> None:
    settings(serializer=serializer)
    value = {"some": "text"} if serializer == "json" else RunsWhenOpened(note)
    changed = list(str(seal_value(value)))
    changed[place] = "A" if changed[place] != "A" else "B"

    with pytest.raises(UnreadableValue, match="signature of the stored value does not match"):
        open_value("".join(changed))
    assert _opened == []


@pytest.mark.parametrize("text", ["~", "~j.", "~j.1:", "~q.1:AAAA", "~j.ü:ü", "ü", "\ud800", "A"])
def test_foreign_text_is_told(text: str) -> None:
    with pytest.raises(UnreadableValue):
        open_value(text)


def test_the_form_is_part_of_what_is_signed(settings: Configure) -> None:
    settings(serializer="json")
    json = str(seal_value("text"))

    with pytest.raises(UnreadableValue, match="does not match"):
        open_value(json.replace("~j.", "~p."))


@pytest.mark.parametrize("legacy", ["read", "write", "off"])
def test_what_has_no_signature_is_read_unless_legacy_is_off(
    settings: Configure, legacy: str
) -> None:
    settings(legacy=legacy)
    text = unsigned(RunsWhenOpened(note))

    if legacy == "off":
        with pytest.raises(UnreadableValue, match=r"no signature.*'off' refuses"):
            open_value(text)
    else:
        assert open_value(text) == "opened"
    assert bool(_opened) == (legacy != "off")


def test_pickles_may_be_refused(settings: Configure) -> None:
    signed, plain = seal_value(RunsWhenOpened(note)), unsigned(RunsWhenOpened(note))
    settings(serializer="json", pickles=False)

    for text in (signed, plain):
        with pytest.raises(UnreadableValue, match=r'"pickles".*refuses'):
            open_value(text)
    assert _opened == []
    assert open_value(seal_value((1,))) == (1,)


# Keys.


def test_a_replaced_key_opens_nothing_unless_it_is_a_fallback(settings: Configure) -> None:
    text, old = seal_value("mine"), Conf.SECRET_KEY

    with override_settings(SECRET_KEY="new"):
        with pytest.raises(UnreadableValue, match="SECRET_KEY_FALLBACKS"):
            open_value(text)
        with override_settings(SECRET_KEY_FALLBACKS=["older", old]):
            assert open_value(text) == "mine"
        assert open_value(seal_value("new")) == "new"
    settings(signing_key=["k" * 50, old])
    assert open_value(text) == "mine"


def test_another_name_of_the_project_reads_the_same_rows(settings: Configure) -> None:
    settings(name="reports")
    text = seal_value("mine")
    settings(name="mails")

    assert open_value(text) == "mine"


def test_what_is_kept_of_empty_values_follows_the_settings(settings: Configure) -> None:
    first = seal_value(())
    settings(signing_key="k" * 50)

    assert seal_value(()) != first
    assert seal_value(()) == seal_value(())


# Rows.


def test_of_a_bad_row_all_else_can_be_read() -> None:
    bad, good = make_task("x", name="bad", group="g"), make_task("y", name="good", group="g")
    changed = str(seal_value(RunsWhenOpened(note)))
    put(bad, f"{changed[:-9]}AAAA{changed[-5:]}")

    assert [task.name for task in Task.objects.order_by("name")] == ["bad", "good"]
    found = fetch(bad.pk)
    assert found is not None and found.success and found.args == (4,)
    for ask in (lambda: found.result, lambda: result(bad.pk), lambda: result_or_raise(bad.pk)):
        with pytest.raises(UnreadableValue, match=rf"result of \[{bad.pk}\].*does not match"):
            ask()
    values = {type(value) for value in result_group("g")}
    assert values == {UnreadableValue, str}
    assert _opened == [] and good.result == "y"


def test_a_value_that_cannot_be_read_is_not_written_over() -> None:
    task = put(make_task("kept", name="before"), "AAAA")

    task.name = "after"
    task.save()

    assert Task.objects.get(name="after") == task
    assert in_column(task) == "AAAA"
    task.result = "new"
    task.save()
    assert Task.objects.get(pk=task.pk).result == "new"


def test_a_deferred_value_is_told_when_it_is_asked_for() -> None:
    put(make_task(1), "AAAA")

    task = Task.objects.defer("result").get()

    with pytest.raises(UnreadableValue):
        _ = task.result


def test_the_error_of_a_failure_may_be_unreadable() -> None:
    task = put(make_task("error", success=False), "AAAA")

    assert "cannot be opened" in str(TaskFailed(task))


def test_saving_signs_what_django_q_wrote() -> None:
    task = put(make_task(1), unsigned({"old": 1}))
    assert task.result == {"old": 1}

    task.save(update_fields=["result"])

    assert contents(in_column(task))[1] != base64.b64decode(unsigned({"old": 1}))
    with override_settings(Q_CLUSTER={"legacy": "off"}):
        assert Task.objects.get(pk=task.pk).result == {"old": 1}


def test_parts_that_were_changed_are_not_handed_on() -> None:
    parts = [(True, seal_value(1)), (False, seal_value("error"))]
    for position, (success, text) in enumerate(parts):
        GatheredPart.objects.create(gathering="g", position=position, success=success, result=text)
    assert gather("g") == [1, FailedResult("error")]

    GatheredPart.objects.filter(position=0).update(result="~j.[2]:AAAA")

    with pytest.raises(UnreadableValue, match="does not match"):
        gather("g")
