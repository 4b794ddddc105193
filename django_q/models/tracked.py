"""Tasks that have not ended yet, their failed attempts, and the wish that one be cancelled.

None of them costs a task that is over within a second anything: see the classes.
"""

from datetime import datetime, timedelta

from django.db import models
from django.utils import timezone

from django_q.texts import gettext_lazy as _


class Tracked(models.Model):
    """A task that has not ended yet, if it is followed: what it waits for, or where it runs.

    Written by the producer where `track` says so, else by the clerk once the task has run for a
    second; changed by clerks; deleted in the transaction that records the outcome.
    """

    class State(models.TextChoices):
        """What such a task is about."""

        QUEUED = "queued", _("Queued")
        SCHEDULED = "scheduled", _("Scheduled")
        RUNNING = "running", _("Running")

    id = models.CharField(_("Task id"), max_length=32, primary_key=True)
    name = models.CharField(_("Name"), max_length=100)
    func = models.CharField(_("Function"), max_length=256)
    group = models.CharField(_("Group"), max_length=100, null=True)
    queue = models.CharField(_("Queue"), max_length=100)
    state = models.CharField(_("State"), max_length=10, choices=State.choices)
    #: Signed as in Task; None where only a clerk wrote the row.
    args = models.TextField(_("Arguments"), null=True)
    kwargs = models.TextField(_("Keyword arguments"), null=True)
    enqueued = models.DateTimeField(_("Enqueued at"), db_index=True)
    run_at = models.DateTimeField(_("Not before"), null=True)
    #: The `run_at` that its sender gave; the other is that of the next delivery.
    sender_run_at = models.DateTimeField(null=True, editable=False)
    priority = models.SmallIntegerField(_("Priority"), default=0, db_default=0)
    #: Which run this is, or will be: 1 for the first.
    attempt = models.PositiveIntegerField(_("Attempt"), default=1, db_default=1)
    started = models.DateTimeField(_("Started at"), null=True)
    worker = models.CharField(_("Worker"), max_length=100, null=True)
    #: When its clerk last said that it runs; long ago: its machine is gone.
    seen = models.DateTimeField(_("Seen"), default=timezone.now, db_index=True)
    done = models.FloatField(_("Done"), null=True)
    total = models.FloatField(_("Total"), null=True)
    text = models.CharField(_("Text"), max_length=200, default="", db_default="")
    #: Alias of the backend of Django's task framework that sent it.
    task_backend = models.CharField(max_length=100, null=True, editable=False)

    class Meta:
        app_label = "django_q"
        verbose_name = _("Task under way")
        verbose_name_plural = _("Tasks under way")
        ordering = ["-enqueued"]
        permissions = [("cancel_tracked", "Can cancel Task under way")]
        indexes = [
            models.Index(name="django_q_tracked_state", fields=["state", "enqueued"]),
            models.Index(name="django_q_tracked_queue", fields=["queue", "enqueued"]),
        ]

    def __str__(self) -> str:
        """Give the name, or the id of a task without one."""
        return self.name or self.id


class Attempt(models.Model):
    """A run that failed and is followed by another one.

    Written in the transaction of the outcome. The last run of a task has its row in Task.
    """

    id = models.BigAutoField(primary_key=True, verbose_name="ID")
    # No foreign key: the task's row comes with its last run.
    task = models.CharField(_("Task id"), max_length=32)
    number = models.PositiveIntegerField(_("Attempt"))
    started = models.DateTimeField(_("Started at"))
    stopped = models.DateTimeField(_("Stopped at"), db_index=True)
    worker = models.CharField(_("Worker"), max_length=100, null=True)
    #: Dotted path of the exception's class.
    error = models.CharField(_("Error"), max_length=256)
    traceback = models.TextField(_("Traceback"))
    #: When the next run is due.
    again_at = models.DateTimeField(_("Next attempt at"))

    class Meta:
        app_label = "django_q"
        verbose_name = _("Failed attempt")
        verbose_name_plural = _("Failed attempts")
        ordering = ["task", "number"]
        constraints = [
            models.UniqueConstraint(fields=["task", "number"], name="django_q_attempt_once")
        ]

    def __str__(self) -> str:
        """Give task and number."""
        return f"{self.task}/{self.number}"


def kept_until() -> datetime:
    """Give the moment until which a wish is kept: the longest retention of any broker here."""
    return timezone.now() + timedelta(days=14)


class Cancellation(models.Model):
    """The wish that a task be cancelled, until it is obeyed. Written by `cancel`."""

    task = models.CharField(_("Task id"), max_length=32, primary_key=True)
    #: End its worker if nothing else helps.
    kill = models.BooleanField(_("Kill"), default=False)
    asked = models.DateTimeField(_("Asked at"), default=timezone.now, db_index=True)
    #: A task that has not come by then is not to be expected any more.
    until = models.DateTimeField(_("Until"), default=kept_until, db_index=True)

    class Meta:
        app_label = "django_q"
        verbose_name = _("Cancellation")
        verbose_name_plural = _("Cancellations")

    def __str__(self) -> str:
        """Give the task's id."""
        return self.task
