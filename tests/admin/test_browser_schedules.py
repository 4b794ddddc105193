"""Schedules as a person sees them, in headless Chromium."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from django_q.models import OrmQ, Schedule

#: A `tests.admin.visitor.Visitor`.
Visitor = Any


def test_a_wrong_cron_expression_is_told_and_a_right_one_taken(visitor: Visitor) -> None:
    schedule = Schedule.objects.create(
        name="nightly report", func="math.sqrt", args="16", schedule_type=Schedule.DAILY
    )
    visitor.log_in()

    visitor.go("/admin/django_q/schedule/")
    visitor.follow("nightly report")
    visitor.choose("#id_schedule_type", "C")
    visitor.type("#id_cron", "61 25 * * *")
    visitor.click("input[name=_save]")
    visitor.look("schedule-wrong")
    assert "correct the error" in visitor.read(".errornote")
    assert visitor.count(".field-cron .errorlist") == 1
    visitor.type("#id_cron", "30 3 * * mon-fri")
    visitor.click("input[name=_continue]")

    visitor.wait_for("was changed successfully")
    visitor.look("schedule")
    schedule.refresh_from_db()
    assert schedule.cron == "30 3 * * mon-fri"


def test_a_schedule_is_run_now(visitor: Visitor) -> None:
    later = timezone.now() + timedelta(days=1)
    Schedule.objects.create(name="nightly report", func="math.sqrt", args="16", next_run=later)
    late = timezone.now() - timedelta(hours=2)
    Schedule.objects.create(name="late one", func="math.sqrt", args="16", next_run=late)
    visitor.log_in()

    visitor.go("/admin/django_q/schedule/")
    visitor.click("input[name=_selected_action]")
    visitor.act("run_schedules")

    visitor.wait_for("1 task was sent")
    visitor.look("schedules")
    assert OrmQ.objects.get().args() == (16,)


def test_a_schedule_is_run_and_paused_from_its_page(visitor: Visitor) -> None:
    later = timezone.now() + timedelta(days=1)
    row = Schedule.objects.create(
        name="nightly report", func="math.sqrt", args="16", next_run=later
    )
    visitor.log_in()

    visitor.go(f"/admin/django_q/schedule/{row.pk}/change/")
    visitor.click("button[formaction$='/act/run_schedules/']")
    visitor.wait_for("1 task was sent")
    visitor.click("button[formaction$='/act/pause_schedules/']")
    visitor.wait_for("1 schedule was paused")

    visitor.look("schedule-paused")
    assert OrmQ.objects.get().args() == (16,)
    assert not Schedule.objects.get().enabled
    assert visitor.count("button[formaction$='/act/resume_schedules/']") == 1


def test_the_list_of_schedules_shows_what_matters_without_moving_it(visitor: Visitor) -> None:
    Schedule.objects.create(name="monthly", func="shop.orders.tasks.ship_the_order", args="16")
    visitor.log_in()

    visitor.go("/admin/django_q/schedule/")

    edge = visitor.find("#changelist-form .results").rect
    for column in ("state", "shown_next_run", "get_last_run", "get_success"):
        cell = visitor.find(f"#result_list .field-{column}").rect
        assert cell["x"] + cell["width"] <= edge["x"] + edge["width"], column
