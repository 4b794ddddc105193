"""Lists of long tables: what they ask the database for, and which rows they are of."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_q.admin import FailAdmin, filters
from django_q.models import (
    Delayed,
    Failure,
    Ledger,
    OrmQ,
    Rejected,
    Schedule,
    Success,
    Task,
    Tracked,
)

from .desk import act, get, make_queued, make_task, names, page


@pytest.fixture
def short_range(monkeypatch: pytest.MonkeyPatch) -> int:
    """Lists are of the first three rows."""
    monkeypatch.setattr(filters, "COUNTED_ROWS", 3)
    return 3


@pytest.fixture
def tasks(client: Client) -> list[Task]:
    """Six failures, the newest first."""
    return [make_task("e", success=False, ago=n, func=f"m.f{n % 2}", group="g") for n in range(6)]


@pytest.mark.parametrize(
    "model", [Success, Failure, Schedule, OrmQ, Ledger, Rejected, Tracked, Delayed]
)
def test_a_list_counts_no_more_than_it_can_show(client: Client, model: Any) -> None:
    with CaptureQueriesContext(connection) as queries:
        get(client, model)

    counts = [query["sql"] for query in queries if "COUNT(" in query["sql"]]
    assert counts
    assert all(f"LIMIT {filters.COUNTED_ROWS}" in count for count in counts)
    if model is not Schedule:
        assert not any("DISTINCT" in query["sql"] for query in queries)


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


def test_a_long_list_is_of_its_first_rows_unless_all_are_asked_for(
    client: Client, tasks: list[Task], short_range: int
) -> None:
    # One more than counted: the row at the edge belongs to it.
    assert names(get(client, Failure)) == [task.name for task in tasks[:4]]
    assert names(get(client, Failure, q="m.f1")) == [tasks[1].name, tasks[3].name]
    assert len(names(get(client, Failure, q="m.f1", range="all"))) == 3


def test_a_short_list_offers_no_range(client: Client, tasks: list[Task]) -> None:
    assert "range=all" not in get(client, Failure)


def test_an_id_or_a_group_is_found_wherever_it_is(
    client: Client, tasks: list[Task], short_range: int
) -> None:
    assert names(get(client, Failure, q=f" {tasks[5].pk.upper()} ")) == [tasks[5].name]
    make_task("e", success=False, ago=9, name="old", group="h")
    assert names(get(client, Failure, group="h")) == ["old"]


def test_what_was_ticked_is_acted_upon_even_if_new_rows_pushed_it_on(
    client: Client, tasks: list[Task], short_range: int
) -> None:
    act(client, Failure, "resubmit_task", tasks[5])

    assert not Failure.objects.filter(pk=tasks[5].pk).exists()


def test_a_list_is_sorted_by_the_time_of_the_run(client: Client, tasks: list[Task]) -> None:
    Task.objects.filter(pk=tasks[3].pk).update(stopped=timezone.now())
    column = FailAdmin.list_display.index("time_taken") + 1

    assert names(get(client, Failure, o=f"-{column}"))[0] == tasks[3].name
    column = FailAdmin.list_display.index("waited") + 1
    assert len(names(get(client, Failure, o=f"-{column}"))) == 6


def test_filters_offer_the_values_at_the_beginning(
    client: Client, tasks: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_task("e", success=False, ago=99, func="m.old", group=None)

    assert "?func=m.old" in get(client, Failure)
    monkeypatch.setattr(filters, "_RECENT_ROWS", 6)
    text = get(client, Failure)
    assert "?func=m.old" not in text
    assert "?func=m.f0" in text
    # What was chosen is offered all the same.
    assert "?func=m.old" in get(client, Failure, func="m.old")


def test_a_filter_finds_rows_without_a_value(client: Client, tasks: list[Task]) -> None:
    make_task("e", success=False, name="alone", group=None)

    assert names(get(client, Failure, group__isnull="True")) == ["alone"]


def test_a_field_keeps_the_other_filters(client: Client, tasks: list[Task]) -> None:
    text = get(client, Failure, func="m.f1", q="m")

    box = text.partition('class="django-q-box"')[2].partition("</form>")[0]
    assert '<input type="hidden" name="func" value="m.f1">' in box
    assert '<input type="hidden" name="q" value="m">' in box


def test_filters_of_a_subclass_are_quick_too(client: Client, tasks: list[Task]) -> None:
    class ShopFailAdmin(FailAdmin):
        list_filter = ("group", "hook", "func")

    admin.site.unregister(Failure)
    admin.site.register(Failure, ShopFailAdmin)
    try:
        with CaptureQueriesContext(connection) as queries:
            get(client, Failure)
    finally:
        admin.site.unregister(Failure)
        admin.site.register(Failure, FailAdmin)

    assert not any("DISTINCT" in query["sql"] for query in queries)


def test_the_ledger_is_searched_by_the_beginning_of_a_key(client: Client) -> None:
    Ledger.objects.create(key="abc")
    Ledger.objects.create(key="xabc")

    assert "1 Ledger" in get(client, Ledger, q="ab")


def test_a_wrong_filter_leads_back_to_the_list(client: Client) -> None:
    response = client.get(page(Failure), {"stopped__gte": "nonsense"})

    assert response.status_code == 302


def test_delayed_packages_are_listed_and_can_only_be_deleted(client: Client) -> None:
    due = timezone.now() + timedelta(hours=1)
    for number, queue in enumerate(("default", "mail")):
        Delayed.objects.create(task=f"task{number}", queue=queue, payload="SEALED", due=due)
    row = Delayed.objects.get(queue="mail")

    assert "task0" in get(client, Delayed)
    assert "task0" not in get(client, Delayed, queue="mail")
    shown = client.get(page(Delayed, "change", row.pk)).content.decode()
    assert "task1" in shown
    assert "SEALED" not in shown
    client.post(page(Delayed, "change", row.pk), {"queue": "x"})
    act(client, Delayed, "delete_selected", row, post="yes")

    assert Delayed.objects.get().task == "task0"


def test_the_queue_shows_priorities(client: Client) -> None:
    row = make_queued(1)
    OrmQ.objects.filter(pk=row.pk).update(priority=-77)

    assert "-77" in get(client, OrmQ)
