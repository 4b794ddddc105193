"""Pages of the tasks that ended, and the action that sends them once more."""

from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.auth import get_permission_codename
from django.core.exceptions import PermissionDenied
from django.db.models import DurationField, ExpressionWrapper, F, QuerySet
from django.db.models.functions import Length, Substr
from django.http import HttpRequest
from django.http.response import HttpResponse
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

from django_q.admin import acting
from django_q.admin.history import has_history, history_block
from django_q.admin.looking import LONGEST, LONGEST_ALONE, look_into_column
from django_q.admin.pages import COUNTED_ROWS, EMPTY, FoundAdmin, moment_text, text_block
from django_q.admin.showing import error_block, headline, path_text, show
from django_q.exceptions import UnreadableValue
from django_q.models import Task
from django_q.monitor.text import duration_text
from django_q.texts import gettext, ngettext
from django_q.texts import gettext_lazy as _

_PICKLED = ("args", "kwargs", "result")
_GENERAL = ("id", "func", "hook", "group", "cluster", "attempt_count")
_TIMES = ("exact_enqueued", "waited", "exact_started", "time_taken", "exact_stopped")
_ORDER = ("priority", "exact_run_at")
#: Errors of an action that are told one by one.
_TOLD = 5


def _difference(end: str, start: str) -> Any:
    return ExpressionWrapper(F(end) - F(start), output_field=DurationField())


@admin.action(description=_("Resubmit selected tasks to queue"))
def resubmit_task(model_admin: Any, request: HttpRequest, queryset: QuerySet[Task]) -> None:
    """Send the selected tasks to their queues once more; failures then leave the list."""
    if not _may_resubmit(request, queryset.model):
        raise PermissionDenied
    done = acting.resubmit(queryset)
    acting.log(done, request.user.pk, gettext("Resubmitted."))
    number = len(done.rows)
    text = ngettext("%d task was resubmitted.", "%d tasks were resubmitted.", number) % number
    tell(model_admin, request, done, text)


def tell(model_admin: Any, request: HttpRequest, done: acting.Done, text: str) -> None:
    """Tell in messages what an action did, and what it could not do."""
    for error in done.errors[:_TOLD]:
        shown = show(error, 500)
        model_admin.message_user(request, shown, messages.ERROR, fail_silently=True)
    hidden = len(done.errors) - _TOLD
    if hidden > 0:
        more = ngettext("%d more error.", "%d more errors.", hidden) % hidden
        model_admin.message_user(request, more, messages.ERROR, fail_silently=True)
    if done.rows or not done.errors:
        model_admin.message_user(request, text, messages.SUCCESS, fail_silently=True)
    if done.is_cut:
        limit = gettext("At most %(number)s are taken at once; do it again for the others.")
        text = limit % {"number": number_format(COUNTED_ROWS)}
        model_admin.message_user(request, text, messages.WARNING, fail_silently=True)


def _may_resubmit(request: HttpRequest, model: Any) -> bool:
    codename = get_permission_codename("resubmit", model._meta)
    may: bool = request.user.has_perm(f"{model._meta.app_label}.{codename}")
    return may


class _ResultAdmin(FoundAdmin):
    """What both lists have in common. No pickle is opened: see `looking`."""

    actions = [resubmit_task]
    buttons: ClassVar[dict[str, Any]] = {"resubmit_task": _("Resubmit")}
    search_fields = ("name", "func", "group")
    search_help_text = _("A part of a name, function or group; or a whole task id.")
    list_filter = ("stopped", "func", "group", "cluster")
    range_field = "-stopped"
    typed_filters = ("group",)
    readonly_fields: ClassVar[Any] = []

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave the pickles where they are until they are asked for."""
        return super().get_queryset(request).defer(*_PICKLED)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find an id by the key of the table, all else as usual."""
        if _is_id(search_term):
            return queryset.filter(pk=search_term.strip().lower()), False
        return super().get_search_results(request, queryset, search_term)

    def is_quick_search(self, request: HttpRequest) -> bool:
        """Tell whether an index finds the rows that are asked for."""
        return _is_id(request.GET.get("q", "")) or super().is_quick_search(request)

    # -- permissions ------------------------------------------------------------------------

    def has_resubmit_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may send tasks once more: a permission of its own."""
        return _may_resubmit(request, self.model)

    def get_actions(self, request: HttpRequest, action_location: Any = None) -> dict[str, Any]:
        """Offer the action to those who may take it. The second parameter is Django 6.1's."""
        location = () if action_location is None else (action_location,)
        actions: dict[str, Any] = super().get_actions(request, *location)
        if not self.has_resubmit_permission(request):
            actions.pop("resubmit_task", None)
        return actions

    # -- the page of one task ---------------------------------------------------------------

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Lay out the page, unless a subclass does."""
        if self.fields or self.fieldsets:
            return super().get_fieldsets(request, obj)
        title = _("Error") if obj and not obj.success else _("Result")
        before = [(_("Failed attempts"), {"fields": ("shown_history",)})]
        return [
            (None, {"fields": _GENERAL}),
            (title, {"fields": ("shown_result",), "classes": ("django-q-alone",)}),
            *(before if has_history(obj) else ()),
            (_("Call"), {"fields": ("shown_args", "shown_kwargs")}),
            (_("Times"), {"fields": _TIMES}),
            *([(_("Order"), {"fields": _ORDER})] if _has_order(obj) else []),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Set all fields read-only."""
        own = [field.name for field in self.opts.fields]
        shown = ("shown_args", "shown_kwargs", "shown_result", "shown_history")
        return [*self.readonly_fields, *own, *_TIMES, *_ORDER, *shown]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Offer no button to save what cannot be changed."""
        context |= {"show_save": False, "show_save_and_continue": False}
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Write nothing: a worker may be writing this row."""

    # -- columns ----------------------------------------------------------------------------

    @admin.display(description=_("Function"), ordering="func")
    def shown_func(self, obj: Task) -> SafeString:
        """Give the function, with places to break the line."""
        return path_text(obj.func)

    @admin.display(description=_("Started at"), ordering="started")
    def shown_started(self, obj: Task) -> str:
        """Give the start to the second."""
        return moment_text(obj.started)

    @admin.display(description=_("Stopped at"), ordering="stopped")
    def shown_stopped(self, obj: Task) -> str:
        """Give the end to the second."""
        return moment_text(obj.stopped)

    @admin.display(description=_("Enqueued at"))
    def exact_enqueued(self, obj: Task) -> str:
        """Give when the task was sent, to the millisecond."""
        return moment_text(obj.enqueued, is_exact=True)

    @admin.display(description=_("Started at"))
    def exact_started(self, obj: Task) -> str:
        """Give the start, to the millisecond."""
        return moment_text(obj.started, is_exact=True)

    @admin.display(description=_("Stopped at"))
    def exact_stopped(self, obj: Task) -> str:
        """Give the end, to the millisecond."""
        return moment_text(obj.stopped, is_exact=True)

    @admin.display(description=_("Not before"))
    def exact_run_at(self, obj: Task) -> str:
        """Give the moment before which it was not to run, to the millisecond."""
        return moment_text(obj.run_at, is_exact=True)

    @admin.display(description=_("Waited"), ordering=_difference("started", "enqueued"))
    def waited(self, obj: Task) -> str:
        """Give the time between enqueueing and start, where it was written down."""
        return _duration(obj.started, obj.enqueued)

    @admin.display(description=_("Ran for"), ordering=_difference("stopped", "started"))
    def time_taken(self, obj: Task) -> str:
        """Give the time of the run; rows of Django Q 1 and 2 have the waiting in it."""
        taken = _duration(obj.stopped, obj.started)
        return taken if obj.enqueued else f"≤ {taken}"

    @admin.display(description=_("Arguments"))
    def shown_args(self, obj: Task) -> str:
        """Give the positional arguments as text."""
        return column_block(obj, "args")

    @admin.display(description=_("Keyword arguments"))
    def shown_kwargs(self, obj: Task) -> str:
        """Give the keyword arguments as text."""
        return column_block(obj, "kwargs")

    @admin.display(description=_("Failed attempts"))
    def shown_history(self, obj: Task) -> str:
        """Give the failed attempts before this run, as text."""
        return history_block(obj)

    @admin.display(description=_("Result"))
    def shown_result(self, obj: Task) -> str:
        """Give the result, or the error with its traceback, as text."""
        return column_block(obj, "result")


class TaskAdmin(_ResultAdmin):
    """Pages of the tasks that succeeded."""

    list_display = (
        *("name", "shown_func", "shown_stopped", "waited", "time_taken"),
        *("group", "cluster"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Show successes only."""
        return super().get_queryset(request).filter(success=True)


class FailAdmin(_ResultAdmin):
    """Pages of the tasks that failed."""

    head_column = "result"
    list_display = (
        *("name", "short_result", "shown_stopped", "shown_func", "waited", "time_taken"),
        *("group", "cluster"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Show failures only."""
        return super().get_queryset(request).filter(success=False)

    @admin.display(description=_("Error"))
    def short_result(self, obj: Any) -> str:
        """Give the beginning of the error."""
        if not obj.head:
            return ""
        if len(obj.head) > LONGEST:
            return gettext("too long to be shown here")
        try:
            error = look_into_column(obj.head)
        except UnreadableValue:
            return gettext("cannot be shown")
        return headline(error) if isinstance(error, str) else show(error, 100)


def _is_id(text: str) -> bool:
    text = text.strip()
    return len(text) == 32 and not set(text.lower()) - set("0123456789abcdef")


def _has_order(obj: Task | None) -> bool:
    return obj is not None and (obj.priority is not None or obj.run_at is not None)


def _duration(end: datetime | None, start: datetime | None) -> str:
    if end is None or start is None:
        return EMPTY
    return duration_text(max(end - start, timedelta()).total_seconds())


def column_block(obj: Any, column: str) -> SafeString | str:
    """Give the HTML of a stored column, looked at and not opened."""
    row = type(obj)._base_manager.using(obj._state.db).filter(pk=obj.pk).order_by()
    found = row.values_list(Substr(column, 1, LONGEST_ALONE), Length(column)).first()
    if found is None or found[0] is None:
        return text_block(None)
    text, length = found
    if length > LONGEST_ALONE:
        words = {"number": number_format(length // 1024)}
        return _note(gettext("Too long to be shown here: %(number)s KiB.") % words)
    try:
        value = look_into_column(text)
    except UnreadableValue as error:
        return _note(gettext("It cannot be shown: %(reason)s") % {"reason": error})
    is_error = column == "result" and isinstance(value, str) and not obj.success
    return error_block(value) if is_error else text_block(value)


def _note(text: str) -> SafeString:
    return format_html('<p class="django-q-note">{}</p>', text)
