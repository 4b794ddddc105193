"""Results: a row for every task that ended.

Rows are written by the database result store in a worker's clerk thread, and read by everybody.
"""

from typing import Any, ClassVar

from django.db import models

from django_q.models.stored_field import StoredField
from django_q.package import FailureCause
from django_q.texts import gettext_lazy as _


def _stored(name: Any, text: Any) -> Any:
    # The protocol is what the migrations say of these columns.
    return StoredField(name, null=True, protocol=-1, help_text=text)


class Task(models.Model):
    """The outcome of the last run of a task: its value, or the error text if it failed.

    The lookups take an id of 32 characters or a name; of several tasks with one name the one that
    stopped last is meant. All go through the database router.
    """

    id = models.CharField(
        _("Task id"),
        max_length=32,
        primary_key=True,
        editable=False,
        help_text=_("32 hexadecimal digits, drawn when the task was created."),
    )
    name = models.CharField(
        _("Name"),
        max_length=100,
        editable=False,
        help_text=_("Four words made from the id, or the name given to the task."),
    )
    func = models.CharField(
        _("Function"), max_length=256, help_text=_("e.g. module.tasks.function")
    )
    hook = models.CharField(
        _("Hook"), max_length=256, null=True, help_text=_("e.g. module.tasks.result_function")
    )
    args = _stored(_("Arguments"), _("Positional arguments of the call."))
    kwargs = _stored(_("Keyword arguments"), _("Keyword arguments of the call."))
    result = _stored(_("Result"), _("What the function returned, or the error as text."))
    group = models.CharField(
        _("Group"),
        max_length=100,
        editable=False,
        null=True,
        help_text=_("Label that this task shares with others."),
    )
    cluster = models.CharField(
        _("Cluster"),
        max_length=100,
        default=None,
        null=True,
        blank=True,
        help_text=_("Name of the cluster that ran it."),
    )
    started = models.DateTimeField(
        _("Started at"),
        editable=False,
        help_text=_("Start of the run; before release 3 the time of enqueueing."),
    )
    stopped = models.DateTimeField(_("Stopped at"), editable=False, help_text=_("End of the run."))
    success = models.BooleanField(
        _("Success"), default=True, editable=False, help_text=_("Whether the function returned.")
    )
    attempt_count = models.IntegerField(
        _("Attempt count"), default=0, help_text=_("How often the task was run.")
    )
    #: Null in rows of Django Q 1 and 2.
    enqueued = models.DateTimeField(
        _("Enqueued at"), null=True, editable=False, help_text=_("When the task was sent.")
    )

    #: As `host:pid`; null where nobody said so.
    worker = models.CharField(
        _("Worker"), max_length=100, null=True, editable=False, help_text=_("Where it ran.")
    )
    #: One of `FailureCause` for a failure since release 3, else null.
    cause = models.CharField(
        _("Cause"), max_length=10, null=True, editable=False, help_text=_("Why it failed.")
    )
    #: Null where it raised nothing: its worker died, or it was not run any more.
    error = models.CharField(
        _("Error"), max_length=256, null=True, editable=False, help_text=_("What it raised.")
    )

    #: Null where nobody gave one, and in rows from before.
    priority = models.SmallIntegerField(_("Priority"), null=True, editable=False)
    #: Null for what was to run at once.
    run_at = models.DateTimeField(_("Not before"), null=True, editable=False)

    class Meta:
        app_label = "django_q"
        verbose_name = _("Task")
        verbose_name_plural = _("Tasks")
        ordering = ["-stopped"]
        indexes = [
            # Django Q's own. Only of tasks with a group: others could not be found by it.
            models.Index(
                name="success_index",
                fields=["group", "name", "func"],
                condition=models.Q(success=True, group__isnull=False),
            ),
            # Pruning looks for the oldest successes, the admin for the newest of either.
            models.Index(name="django_q_task_ended", fields=["success", "stopped"]),
            # Most tasks have no group, and each index makes each row dearer to write.
            models.Index(
                name="django_q_task_grouped",
                fields=["group"],
                condition=models.Q(group__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        """Give the name, or the id of a task without one."""
        return self.name or self.id

    @staticmethod
    def get_result(task_id: str) -> Any:
        """Give the value of a task (the error text of a failed one), or None without a row."""
        task = _find(Task.objects.only("result"), task_id)
        return None if task is None else task.result

    @staticmethod
    def get_task(task_id: str) -> "Task | None":
        """Give the row of a task, or None."""
        return _find(Task.objects.all(), task_id)

    @staticmethod
    def get_result_group(group_id: str, failures: bool = False) -> models.QuerySet["Task", Any]:
        """Give the values of a group's tasks, newest first; with `failures` error texts too."""
        return Task.get_task_group(group_id, failures).values_list("result", flat=True)

    @staticmethod
    def get_task_group(group_id: str, failures: bool = True) -> models.QuerySet["Task"]:
        """Give the rows of a group's tasks, newest first; failed ones only with `failures`."""
        tasks = Task.objects.filter(group=group_id)
        return tasks if failures else tasks.filter(success=True)

    @staticmethod
    def get_group_count(group_id: str, failures: bool = False) -> int:
        """Count a group's tasks; with `failures` only those that failed."""
        tasks = Task.objects.filter(group=group_id)
        return (tasks.filter(success=False) if failures else tasks).count()

    @staticmethod
    def delete_group(group_id: str, objects: bool = False) -> int | tuple[int, dict[str, int]]:
        """Take the label off a group's tasks: their number. With `objects` delete the rows."""
        tasks = Task.objects.filter(group=group_id)
        return tasks.delete() if objects else tasks.update(group=None)

    def group_result(self, failures: bool = False) -> models.QuerySet["Task", Any] | None:
        """As `get_result_group` for this task's group; None without a group."""
        return self.get_result_group(self.group, failures) if self.group else None

    def group_count(self, failures: bool = False) -> int | None:
        """As `get_group_count` for this task's group; None without a group."""
        return self.get_group_count(self.group, failures) if self.group else None

    def group_delete(self, tasks: bool = False) -> int | tuple[int, dict[str, int]] | None:
        """As `delete_group` for this task's group; None without a group."""
        return self.delete_group(self.group, tasks) if self.group else None

    @property
    def status(self) -> str:
        """How it ended: "success", "failed" or "cancelled". One that has not ended has no row."""
        if self.cause == FailureCause.CANCELLED:
            return "cancelled"
        return "success" if self.success else "failed"

    def time_taken(self) -> float:
        """Seconds that the run took."""
        return (self.stopped - self.started).total_seconds()


def _find(tasks: models.QuerySet[Task], task_id: str) -> Task | None:
    if len(task_id) == 32:
        for task in tasks.filter(pk=task_id):
            return task
    return tasks.filter(name=task_id).order_by("-stopped").first()


class SuccessManager(models.Manager["Success"]):
    """Finds only tasks that succeeded."""

    def get_queryset(self) -> models.QuerySet["Success"]:
        """Leave out what failed."""
        return super().get_queryset().filter(success=True)


class Success(Task):
    """A task that succeeded."""

    objects: ClassVar[SuccessManager] = SuccessManager()

    class Meta:
        app_label = "django_q"
        verbose_name = _("Successful task")
        verbose_name_plural = _("Successful tasks")
        ordering = ["-stopped"]
        proxy = True
        permissions = [("resubmit_success", "Can resubmit Successful task")]


class FailureManager(models.Manager["Failure"]):
    """Finds only tasks that failed."""

    def get_queryset(self) -> models.QuerySet["Failure"]:
        """Leave out what succeeded."""
        return super().get_queryset().filter(success=False)


class Failure(Task):
    """A task that failed."""

    objects: ClassVar[FailureManager] = FailureManager()

    class Meta:
        app_label = "django_q"
        verbose_name = _("Failed task")
        verbose_name_plural = _("Failed tasks")
        ordering = ["-stopped"]
        proxy = True
        permissions = [("resubmit_failure", "Can resubmit Failed task")]
