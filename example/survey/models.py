"""One row for each survey. The results themselves are rows of Django Q, found by their group."""

from typing import Any

from django.db import models
from django.db.models import QuerySet
from django.utils import timezone

from django_q.models import Task
from django_q.tasks import count_group, fetch_group, result_group
from survey.progress import Progress

#: Between the error and the traceback in the text of a failed task.
TRACEBACK = " : Traceback"


class Survey(models.Model):
    """A survey that was started: which group its tasks belong to, and how many there are."""

    group = models.CharField(max_length=32, unique=True, editable=False)
    total = models.PositiveIntegerField(editable=False)
    started = models.DateTimeField(auto_now_add=True)

    class Meta:
        """Newest first: the page shows the first one."""

        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"Survey {self.pk}: {self.total} tasks"

    def tasks(self) -> QuerySet[Task]:
        """Its tasks that have ended, well or badly, latest first."""
        return fetch_group(self.group)

    def results(self) -> QuerySet[Task, dict[str, Any]]:
        """What the tasks that ended well returned."""
        return result_group(self.group)

    def progress(self) -> Progress:
        """How far it is now."""
        ended, failed = count_group(self.group), count_group(self.group, failures=True)
        last = self.tasks().first() if ended >= self.total else None
        seconds = ((last.stopped if last else timezone.now()) - self.started).total_seconds()
        return Progress(self.total, ended, failed, seconds)

    def failures(self) -> list[dict[str, str]]:
        """The failed tasks as texts: ``name``, ``function``, ``error`` and ``traceback``."""
        texts = []
        for task in self.tasks().filter(success=False).order_by("name"):
            error, found, rest = str(task.result).partition(TRACEBACK)
            texts.append(
                {
                    "name": task.name,
                    "function": task.func,
                    "error": error,
                    "traceback": f"Traceback{rest}".strip() if found else "",
                }
            )
        return texts
