"""Pages of the tasks that have not ended, and the actions that cancel them."""

from datetime import timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.auth import get_permission_codename
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from django_q.admin import acting
from django_q.admin.pages import ReadAdmin, moment_text
from django_q.admin.results import column_block, tell
from django_q.admin.showing import path_text
from django_q.models import Tracked
from django_q.monitor.text import duration_text
from django_q.states import is_lost
from django_q.texts import gettext, ngettext
from django_q.texts import gettext_lazy as _


class StateFilter(admin.SimpleListFilter):
    """Queued, scheduled or running; an index finds each."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Give the three."""
        return list(Tracked.State.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Compare the column."""
        return queryset.filter(state=self.value()) if self.value() else queryset


class TrackedAdmin(ReadAdmin):
    """Pages of the tasks under way: those that wait, if they are followed, and those that run."""

    list_display = (
        *("name", "state_and_progress", "shown_func", "queue", "worker", "shown_started"),
    )
    list_filter = (StateFilter, "queue")
    search_fields = ("id__startswith",)
    search_help_text = _("The beginning of a task id.")
    ordering = ("-enqueued",)
    range_field = "-enqueued"
    typed_filters = ("queue",)
    actions = ("cancel", "kill")
    buttons: ClassVar[dict[str, Any]] = {"cancel": _("Cancel"), "kill": _("Kill")}
    fieldsets: ClassVar[Any] = [
        (None, {"fields": ("id", "shown_state", "progress", "func", "group", "queue", "worker")}),
        (_("Call"), {"fields": ("shown_args", "shown_kwargs")}),
        (
            _("Times"),
            {"fields": ("exact_enqueued", "exact_run_at", "exact_started", "exact_seen")},
        ),
        (_("Order"), {"fields": ("attempt", "priority")}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave the pickles where they are until they are asked for."""
        rows: QuerySet[Any] = super().get_queryset(request).defer("args", "kwargs")
        return rows

    def is_quick_search(self, request: HttpRequest) -> bool:
        """Tell whether an index finds the rows that are asked for."""
        asked = request.GET.get("q") or request.GET.get("state")
        return bool(asked) or super().is_quick_search(request)

    # -- cancelling -------------------------------------------------------------------------

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may cancel tasks: a permission of its own."""
        codename = get_permission_codename("cancel", self.opts)
        may: bool = request.user.has_perm(f"{self.opts.app_label}.{codename}")
        return may

    @admin.action(description=_("Cancel selected tasks"), permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Tracked]) -> None:
        """End tasks: what waits does not start, what runs is interrupted."""
        self._cancel(request, queryset, kill=False)

    @admin.action(description=_("Cancel selected tasks, end their workers"), permissions=["cancel"])
    def kill(self, request: HttpRequest, queryset: QuerySet[Tracked]) -> None:
        """End tasks, with their workers where they do not end in a second."""
        self._cancel(request, queryset, kill=True)

    def _cancel(self, request: HttpRequest, queryset: QuerySet[Tracked], *, kill: bool) -> None:
        done = acting.cancel(queryset, kill)
        acting.log(done, request.user.pk, gettext("Cancelled."))
        number = len(done.rows)
        text = ngettext("%d task was cancelled.", "%d tasks were cancelled.", number) % number
        tell(self, request, done, text)

    # -- columns ----------------------------------------------------------------------------

    @admin.display(description=_("State"), ordering="state")
    def shown_state(self, obj: Tracked) -> str:
        """Give the state; of a task whose machine is gone, that it was lost sight of."""
        return gettext("Lost sight of") if is_lost(obj) else obj.get_state_display()

    @admin.display(description=_("State"), ordering="state")
    def state_and_progress(self, obj: Tracked) -> SafeString:
        """Give both, one below the other: a list has many columns."""
        return format_html("<div>{}</div>{}", self.shown_state(obj), self.progress(obj))

    @admin.display(description=_("Function"), ordering="func")
    def shown_func(self, obj: Tracked) -> SafeString:
        """Give the function, with places to break the line."""
        return path_text(obj.func)

    @admin.display(description=_("Started at"), ordering="started")
    def shown_started(self, obj: Tracked) -> str | None:
        """Give the start and for how long it runs; of one that waits for its time, that."""
        if obj.started is None:
            return moment_text(obj.run_at)
        took = max(timezone.now() - obj.started, timedelta()).total_seconds()
        return f"{moment_text(obj.started)} ({duration_text(took)})"

    @admin.display(description=_("Progress"))
    def progress(self, obj: Tracked) -> SafeString | str:
        """Give what the task said last, with a bar where it knows how much there is to do."""
        if obj.done is None:
            return ""
        if not obj.total:
            return f"{obj.done:g} {obj.text}"
        bar = '<progress value="{}" max="{}"></progress> {} / {} {}'
        return format_html(bar, obj.done, obj.total, f"{obj.done:g}", f"{obj.total:g}", obj.text)

    @admin.display(description=_("Arguments"))
    def shown_args(self, obj: Tracked) -> SafeString | str:
        """Give the positional arguments as text."""
        return _shown(obj, "args")

    @admin.display(description=_("Keyword arguments"))
    def shown_kwargs(self, obj: Tracked) -> SafeString | str:
        """Give the keyword arguments as text."""
        return _shown(obj, "kwargs")

    @admin.display(description=_("Enqueued at"))
    def exact_enqueued(self, obj: Tracked) -> str | None:
        """Give when the task was sent, to the millisecond."""
        return moment_text(obj.enqueued, is_exact=True)

    @admin.display(description=_("Not before"))
    def exact_run_at(self, obj: Tracked) -> str | None:
        """Give what it waits for, to the millisecond."""
        return moment_text(obj.run_at, is_exact=True)

    @admin.display(description=_("Started at"))
    def exact_started(self, obj: Tracked) -> str | None:
        """Give the start, to the millisecond."""
        return moment_text(obj.started, is_exact=True)

    @admin.display(description=_("Seen"))
    def exact_seen(self, obj: Tracked) -> str | None:
        """Give when it was last heard of, to the millisecond."""
        return moment_text(obj.seen, is_exact=True)


def _shown(obj: Tracked, column: str) -> SafeString | str:
    if obj.args is None:  # made by a clerk, which opens nothing
        return gettext("Known only of tasks that are followed from the start.")
    return column_block(obj, column)
