"""The failed attempts of a task, on its page: read-only, as text, nothing is opened."""

from datetime import timedelta

from django.db.models import QuerySet
from django.utils.formats import number_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from django_q.admin.pages import moment_text
from django_q.admin.showing import error_block
from django_q.models import Attempt, Task
from django_q.monitor.text import duration_text
from django_q.texts import gettext

#: Attempts that are shown: the newest. Each may have a long traceback.
_SHOWN = 20


def has_history(task: Task | None) -> bool:
    """Tell whether a task has failed attempts; asks only where it was run more than once."""
    return task is not None and task.attempt_count > 1 and _attempts(task).exists()


def history_block(task: Task) -> SafeString:
    """Give the HTML of a task's failed attempts, the first one first."""
    newest = list(_attempts(task).order_by("-number")[:_SHOWN])
    return format_html_join(
        "",
        '<div class="django-q-attempt"><p>{}</p>{}</div>',
        ((_headline(attempt), error_block(attempt.traceback)) for attempt in reversed(newest)),
    )


def _headline(attempt: Attempt) -> SafeString:
    took = max(attempt.stopped - attempt.started, timedelta()).total_seconds()
    words = {
        "number": number_format(attempt.number),
        "moment": moment_text(attempt.started, is_exact=True),
        "time": duration_text(took),
    }
    text = gettext("Attempt %(number)s, started at %(moment)s, ran for %(time)s") % words
    return format_html("<strong>{}</strong> {}", text, attempt.worker or "")


def _attempts(task: Task) -> QuerySet[Attempt]:
    return Attempt.objects.using(task._state.db).filter(task=task.pk)
