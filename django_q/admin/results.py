"""Pages of the tasks that ended, and the action that sends them once more."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.db.models.functions import Substr
from django.http import HttpRequest
from django.http.response import HttpResponse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from django_q.admin.looking import LONGEST, look_into_column, show
from django_q.admin.pages import FoundAdmin, text_block
from django_q.enqueue import async_task
from django_q.exceptions import DjangoQError
from django_q.models import Task

_PICKLED = ("args", "kwargs", "result")


@admin.action(description=_("Resubmit selected tasks to queue"), permissions=["change"])
def resubmit_task(model_admin: Any, request: HttpRequest, queryset: QuerySet[Task]) -> None:
    """Send the selected tasks to their queues once more; failures then leave the list."""
    sent = 0
    for task in queryset.defer(None).defer("result"):
        try:
            _send_again(task)
        except DjangoQError as error:
            message = f"{task}: {error}"
            model_admin.message_user(request, message, messages.ERROR, fail_silently=True)
            continue
        sent += 1
        if isinstance(model_admin, FailAdmin):
            task.delete()
    text = ngettext("%d task was resubmitted.", "%d tasks were resubmitted.", sent) % sent
    model_admin.message_user(request, text, fail_silently=True)


def _send_again(task: Task) -> None:
    if not isinstance(task.args or (), (tuple, list)) or not isinstance(task.kwargs or {}, dict):
        raise DjangoQError("Its arguments cannot be read: was a class of theirs removed?")
    options = {"hook": task.hook, "group": task.group, "cluster": task.cluster}
    async_task(task.func, *(task.args or ()), q_options=options, **(task.kwargs or {}))


class _ResultAdmin(FoundAdmin):
    """What both lists have in common. Pickles are opened on the page of one task only."""

    actions = [resubmit_task]
    search_fields = ("name", "func", "group")
    list_filter = ("group", "cluster")
    readonly_fields: ClassVar[Any] = []
    fields: ClassVar[Any] = (
        *("name", "id", "func", "hook", "group", "cluster", "attempt_count"),
        *("enqueued", "started", "stopped", "success"),
        *("shown_args", "shown_kwargs", "shown_result"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave the pickles where they are until they are asked for."""
        return super().get_queryset(request).defer(*_PICKLED)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Set all fields read-only."""
        own = [field.name for field in self.opts.fields]
        return [*self.readonly_fields, *own, "shown_args", "shown_kwargs", "shown_result"]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Offer no button to save what cannot be changed."""
        context |= {"show_save": False, "show_save_and_continue": False}
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Write nothing: a worker may be writing this row."""

    @admin.display(description=_("Arguments"))
    def shown_args(self, obj: Task) -> str:
        """Give the positional arguments as text."""
        return text_block(obj.args)

    @admin.display(description=_("Keyword arguments"))
    def shown_kwargs(self, obj: Task) -> str:
        """Give the keyword arguments as text."""
        return text_block(obj.kwargs)

    @admin.display(description=_("Result"))
    def shown_result(self, obj: Task) -> str:
        """Give the result, or the error with its traceback, as text."""
        return text_block(obj.result)


class TaskAdmin(_ResultAdmin):
    """Pages of the tasks that succeeded."""

    list_display = ("name", "group", "func", "cluster", "started", "stopped", "time_taken")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Show successes only."""
        return super().get_queryset(request).filter(success=True)

    @admin.display(description=_("Time Taken"))
    def time_taken(self, obj: Task) -> float:
        """Give the seconds that the run took."""
        return obj.time_taken()


class FailAdmin(_ResultAdmin):
    """Pages of the tasks that failed."""

    list_display = ("name", "group", "func", "cluster", "started", "stopped", "short_result")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Take the beginning of the error along, still pickled."""
        rows = super().get_queryset(request)
        annotated: QuerySet[Any] = rows.annotate(_error=Substr("result", 1, LONGEST + 1))
        return annotated

    @admin.display(description=_("Short result"))
    def short_result(self, obj: Any) -> str:
        """Give the beginning of the error."""
        error = look_into_column(obj._error)
        return "" if error is None else show(error, 100)
