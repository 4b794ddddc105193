"""Pages of the schedules, where people plan."""

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AdminTextareaWidget
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html_join

from django_q.admin.pages import EMPTY, ButtonAdmin, moment_text
from django_q.admin.showing import path_text, show
from django_q.conf import Conf
from django_q.exceptions import BrokerError, DjangoQError
from django_q.models import Schedule, Task
from django_q.models.columns import link_to_task
from django_q.models.timing import as_stored
from django_q.punctuality import LATE, queue_of
from django_q.recurrence import explain_cron
from django_q.scheduler import run_now
from django_q.status import Stat
from django_q.texts import gettext_lazy as _
from django_q.texts import ngettext

if TYPE_CHECKING:
    _ModelForm = forms.ModelForm[Schedule]
else:
    _ModelForm = forms.ModelForm


class ScheduleForm(_ModelForm):
    """A schedule as people plan it."""

    class Meta:
        model = Schedule
        fields = "__all__"
        # Most have few; the browser lets one pull them longer.
        widgets: ClassVar[Any] = {
            name: AdminTextareaWidget(attrs={"rows": 3}) for name in ("args", "kwargs")
        }

    def clean_name(self) -> Any:
        """Refuse a name that is taken; one that was shared before may stay."""
        name = self.cleaned_data["name"]
        others = Schedule.objects.exclude(pk=self.instance.pk).filter(name=name)
        if name and "name" in self.changed_data and others.exists():
            raise forms.ValidationError(_("There is a schedule of this name already."))
        return name


@admin.action(description=_("Run selected schedules now"), permissions=["change"])
def run_schedules(model_admin: Any, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
    """Enqueue a task for each, besides its due times."""
    sent = 0
    for schedule in queryset:
        try:
            run_now(schedule)
            sent += 1
        except DjangoQError as error:
            text = f"{schedule.name or schedule}: {error}"
            model_admin.message_user(request, text, messages.ERROR, fail_silently=True)
    text = ngettext("%d task was sent to its queue.", "%d tasks were sent to their queues.", sent)
    model_admin.message_user(request, text % sent, fail_silently=True)


@admin.action(description=_("Pause selected schedules"), permissions=["change"])
def pause_schedules(model_admin: Any, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
    """Disable them until somebody resumes them."""
    paused = queryset.order_by().filter(enabled=True).update(enabled=False)
    text = ngettext("%d schedule was paused.", "%d schedules were paused.", paused) % paused
    model_admin.message_user(request, text, fail_silently=True)


@admin.action(description=_("Resume selected schedules"), permissions=["change"])
def resume_schedules(model_admin: Any, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
    """Enable them again; what they missed is passed over."""
    resumed = 0
    for schedule in queryset.filter(enabled=False):
        schedule.enabled = True
        try:
            schedule.save(update_fields=["enabled"])
            resumed += 1
        except ValueError as error:
            text = f"{schedule.name or schedule}: {error}"
            model_admin.message_user(request, text, messages.ERROR, fail_silently=True)
    text = ngettext("%d schedule was resumed.", "%d schedules were resumed.", resumed) % resumed
    model_admin.message_user(request, text, fail_silently=True)


class ScheduleAdmin(ButtonAdmin):
    """Pages of the schedules, with how the last task of each went."""

    form = ScheduleForm
    range_field = "id"
    actions = [run_schedules, pause_schedules, resume_schedules]
    buttons: ClassVar[dict[str, Any]] = {
        "run_schedules": _("Run now"),
        "pause_schedules": _("Pause"),
        "resume_schedules": _("Resume"),
    }
    list_display = (
        *("id", "name", "state", "shown_next_run", "get_last_run", "get_success"),
        *("schedule_type", "shown_func", "repeats", "cluster"),
    )
    list_display_links = ("id", "name")
    list_filter = ("enabled", "next_run", "schedule_type", "cluster")
    search_fields = ("name", "func")
    readonly_fields = ("error", "cron_in_words", "next_runs", "origin")
    fieldsets = (
        (None, {"fields": ("name", "func", "args", "kwargs", "hook", "enabled", "error")}),
        (
            _("When"),
            {
                "fields": (
                    *("schedule_type", "minutes", "seconds", "cron", "cron_in_words"),
                    *("next_run", "next_runs", "repeats", "catch_up"),
                )
            },
        ),
        (_("Where"), {"fields": ("cluster", "intended_date_kwarg", "origin")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Take along what the list shows of the last tasks, instead of a query for each."""
        last = Task.objects.filter(id=OuterRef("task")).order_by()
        rows: QuerySet[Any] = super().get_queryset(request)
        annotated: QuerySet[Any] = rows.annotate(
            task_id=Subquery(last.values("id")),
            task_name=Subquery(last.values("name")),
            task_success=Subquery(last.values("success")),
        )
        return annotated

    def get_list_display(self, request: HttpRequest) -> Any:
        """Show how things stand, with the queues looked up once for all rows."""
        names = super().get_list_display(request)
        if "state" not in names:
            return names
        now, served = timezone.now(), _served_queues()

        @admin.display(description=_("State"))
        def state(obj: Schedule) -> Any:
            return _state(obj, now, served)

        return tuple(state if name == "state" else name for name in names)

    def get_buttons(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Offer to pause what runs, and to resume what is paused."""
        other = "resume_schedules" if row.enabled else "pause_schedules"
        return {name: label for name, label in self.buttons.items() if name != other}

    @admin.display(description=_("State"))
    def state(self, obj: Schedule) -> Any:
        """Tell how things stand."""
        return _state(obj, timezone.now(), _served_queues())

    @admin.display(description=_("Function"), ordering="func")
    def shown_func(self, obj: Schedule) -> Any:
        """Give the function, with places to break the line."""
        return path_text(obj.func)

    @admin.display(description=_("Next Run"), ordering="next_run")
    def shown_next_run(self, obj: Schedule) -> str:
        """Give the next due time, to the second."""
        return moment_text(as_stored(obj.next_run))

    @admin.display(description=_("Success"), boolean=True)
    def get_success(self, obj: Any) -> bool | None:
        """Tell whether the last task succeeded."""
        success: bool | None = obj.task_success
        return success

    @admin.display(description=_("Last run"))
    def get_last_run(self, obj: Any) -> str | None:
        """Give a link to the last task."""
        if obj.task_id is None:
            return None
        return link_to_task(obj.task_id, obj.task_name, obj.task_success)

    @admin.display(description=_("Cron in words"))
    def cron_in_words(self, obj: Schedule) -> str:
        """Say in English when the cron expression is due."""
        is_cron = obj.schedule_type == Schedule.CRON and obj.cron
        return (explain_cron(obj.cron or "") if is_cron else "") or EMPTY

    @admin.display(description=_("Next runs"))
    def next_runs(self, obj: Schedule) -> Any:
        """Give the next five due times."""
        try:
            moments = obj.upcoming() if obj.pk and obj.enabled else []
        except (ValueError, ArithmeticError) as error:
            return str(error)
        shown = ((moment_text(moment),) for moment in moments)
        return format_html_join("", "{}<br>", shown) or EMPTY

    @admin.display(description=_("Declared in"))
    def origin(self, obj: Schedule) -> Any:
        """Say who makes the schedule what it is, and will do so again."""
        by = (obj.declaration or "").partition(" ")[0]
        places = {"settings": 'Q_CLUSTER["schedules"]', "decorator": "@periodic"}
        return (places | {"code": _("code")}).get(by, EMPTY)


def _served_queues() -> Collection[str] | None:
    """Give the queues of the clusters that run; None where none is seen."""
    try:
        stats = Stat.get_all()
    except BrokerError:
        return None
    alive = [stat for stat in stats if stat.status != Conf.STOPPED]
    return {queue for stat in alive for queue in stat.served} or None


def _state(schedule: Schedule, now: datetime, served: Collection[str] | None) -> Any:
    due = as_stored(schedule.next_run)
    if schedule.error:
        return show(schedule.error, 120)
    if not schedule.enabled:
        return _("paused")
    if schedule.repeats == 0 or due is None:
        return _("done")
    if served is not None and queue_of(schedule) not in served:
        return _("no cluster serves its queue")
    return _("overdue") if due < now - LATE else _("waiting")
