"""The pages of the schedules: people plan, pause, resume and run, and are told what is wrong."""

from datetime import date, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.models import OrmQ, Schedule
from django_q.status import Stat
from django_q.tasks import schedule
from tests.unit.planned import Configure, make

LIST = "admin:django_q_schedule_changelist"


@pytest.fixture
def client(database: str, q_cluster: Configure) -> Client:
    """A browser of somebody who may do everything."""
    q_cluster(orm=database)
    browser = Client()
    browser.force_login(User.objects.create_superuser("root"))
    return browser


def page(row: Schedule | None = None) -> str:
    kind = "add" if row is None else "change"
    return reverse(f"admin:django_q_schedule_{kind}", args=[] if row is None else [row.pk])


def shown(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return response.content.decode()


def form(**values: Any) -> dict[str, Any]:
    """What a browser sends; the form's own defaults unless it says otherwise."""
    defaults = {"name": "", "func": "math.sqrt", "args": "", "kwargs": "", "hook": "", "cron": ""}
    defaults |= {"schedule_type": "H", "minutes": "", "seconds": "", "repeats": "-1"}
    defaults |= {"cluster": "", "intended_date_kwarg": "", "enabled": "on", "catch_up": "unknown"}
    return {**defaults, "next_run_0": "2050-01-31", "next_run_1": "09:00:00", **values}


def post(client: Client, row: Schedule | None = None, **values: Any) -> str:
    """Save the form; what the page says when it is refused."""
    response = client.post(page(row), form(**values))
    return "" if response.status_code == 302 else response.content.decode()


def act(client: Client, action: str, *rows: Schedule) -> str:
    data = {"action": action, "_selected_action": [row.pk for row in rows]}
    return client.post(reverse(LIST), data, follow=True).content.decode()


# Planning.


def test_a_schedule_is_made_and_changed(client: Client) -> None:
    assert post(client, name="mine", args="1, 2", kwargs="x='three'") == ""

    row = Schedule.objects.get()
    assert (row.name, row.args, row.enabled, row.catch_up) == ("mine", "1, 2", True, None)
    assert post(client, row, name="mine", schedule_type="S", seconds="5", catch_up="false") == ""
    row.refresh_from_db()
    assert (row.seconds, row.catch_up) == (5, False)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"schedule_type": "C", "cron": "0 22 * * 1-12"}, "is wrong"),
        ({"schedule_type": "C", "cron": "0 0 31 2 *"}, "is wrong"),
        ({"schedule_type": "C"}, "needs a cron expression"),
        ({"schedule_type": "S"}, "needs a number of seconds"),
        ({"args": "datetime.now()"}, "not written as Python literals"),
        ({"kwargs": "x=1, 2"}, "keyword arguments"),
        ({"intended_date_kwarg": "1st"}, "cannot be the name of an argument"),
        ({"func": ""}, "This field is required"),
    ],
)
def test_what_is_wrong_is_told_at_its_field(
    client: Client, values: dict[str, Any], error: str
) -> None:
    text = post(client, **values)

    assert error in text
    assert "errorlist" in text
    assert not Schedule.objects.exists()


def test_d28_a_changed_cron_expression_changes_the_next_run(client: Client) -> None:
    row = make(schedule_type="C", cron="0 12 * * *")

    assert post(client, row, schedule_type="C", cron="30 4 1 1 *") == ""

    row.refresh_from_db()
    assert row.next_run
    assert (row.next_run.month, row.next_run.hour, row.next_run.minute) == (1, 4, 30)


def test_a_name_can_be_given_once_but_namesakes_may_stay(client: Client) -> None:
    first, second, third = make(name="same"), make(name="same"), make(name="third")

    assert "already" in post(client, name="same")
    assert "already" in post(client, third, name="same")
    assert post(client, second, name="same", args="5") == ""
    assert post(client, first, name="other") == ""


def test_arguments_of_any_kind_outlive_a_change_of_something_else(client: Client) -> None:
    row = schedule("math.sqrt", date(2026, 1, 1), by=timedelta(1))
    unchanged = {"args": row.args, "kwargs": row.kwargs}

    assert post(client, row, name="new", **unchanged) == ""
    after = Schedule.objects.get()
    assert (after.name, after.sealed) == ("new", row.sealed)
    assert after.args and "datetime.date" in after.args
    assert "literals" in post(client, row, args=f"{row.args} ", kwargs="{'x': f()}")


# What is shown.


def test_a_page_tells_the_next_runs_and_the_cron_expression_in_words(client: Client) -> None:
    row = make(schedule_type="C", cron="0 22 * * 1-5", next_run=timezone.now() + timedelta(days=1))

    text = shown(client, page(row))

    assert "At 22:00 on Monday through Friday" in text
    assert text.count(" 22:00:00<br>") >= 4
    shown(client, page())


def test_what_is_not_there_is_shown_as_a_dash(client: Client) -> None:
    for row in (None, make(), make(enabled=False)):
        assert ">None<" not in shown(client, page(row))


@pytest.mark.parametrize(
    "columns", [{"schedule_type": "C", "cron": "wrong"}, {"schedule_type": "S"}]
)
def test_a_broken_schedule_can_be_looked_at(client: Client, columns: dict[str, Any]) -> None:
    row = make(enabled=False, error="<b>It is broken.</b>", **columns)

    for path in (page(row), reverse(LIST)):
        assert "&lt;b&gt;It is broken." in shown(client, path)
    Schedule.objects.update(enabled=True)
    assert shown(client, page(row))


def test_the_list_tells_how_things_stand(client: Client) -> None:
    later = timezone.now() + timedelta(days=1)
    Stat("4e5bbd0a-6a2e-4f4c-9a42-6f2b3a9f6f11", 1, queue="default", status=Conf.IDLE).save(
        get_broker()
    )
    states = {
        "waiting": {"next_run": later},
        "paused": {"enabled": False},
        "done": {"repeats": 0},
        "overdue": {},
        "no cluster serves its queue": {"cluster": "other", "next_run": later},
    }
    for columns in states.values():
        make(**columns)

    text = shown(client, reverse(LIST))

    for state in states:
        assert f'class="field-state">{state}<' in text, state


# Actions.


def test_a_schedule_can_be_run_now(client: Client) -> None:
    row = make(name="mine", next_run=timezone.now() + timedelta(days=1))
    bad = make(name="bad", args="oops")

    text = act(client, "run_schedules", row, bad)

    assert "1 task was sent" in text
    assert "bad" in text and "literals" in text
    sent = OrmQ.objects.get()
    row.refresh_from_db()
    assert (sent.key, sent.group(), sent.task_id()) == ("default", "mine", row.task)


def test_schedules_are_paused_and_resumed(client: Client) -> None:
    start = timezone.now() - timedelta(days=3)
    rows = [make(next_run=start), make(next_run=start)]

    assert "2 schedules were paused" in act(client, "pause_schedules", *rows)
    assert not Schedule.objects.filter(enabled=True).exists()
    assert "1 schedule was resumed" in act(client, "resume_schedules", rows[0])

    resumed = Schedule.objects.get(enabled=True)
    assert resumed.next_run and resumed.next_run > timezone.now()


def test_its_page_has_a_button_to_run_pause_or_resume_a_schedule(client: Client) -> None:
    row = make(next_run=timezone.now() + timedelta(days=1))

    for action, is_enabled in (("run", True), ("pause", False), ("resume", True)):
        address = reverse("admin:django_q_schedule_act", args=[row.pk, f"{action}_schedules"])
        assert f'formaction="{address}"' in shown(client, page(row))
        answer = client.post(address, follow=True)

        assert answer.redirect_chain == [(page(row), 302)]
        assert Schedule.objects.get().enabled == is_enabled
    assert OrmQ.objects.count() == 1


def test_a_broken_schedule_is_not_resumed_unmended(client: Client) -> None:
    row = make(schedule_type="C", cron="wrong", enabled=False, error="It is broken.")

    text = act(client, "resume_schedules", row)

    assert "0 schedules were resumed" in text
    assert "wrong" in text
    assert not Schedule.objects.get().enabled


def test_who_may_only_look_can_do_nothing(client: Client) -> None:
    row = make()
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_schedule"))
    client.force_login(user)

    for action in ("run_schedules", "pause_schedules", "resume_schedules"):
        act(client, action, row)
    client.post(page(row), form(name="changed"))

    assert not OrmQ.objects.exists()
    assert list(Schedule.objects.values_list("name", "enabled")) == [(None, True)]
