"""Schedules: tasks to be created at certain times.

Written by whoever plans (code, admin); the scheduler in the housekeeper moves `next_run` on.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Self

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_q.models.columns import column, link_to_task
from django_q.models.task import Task
from django_q.models.timing import as_stored, cadence_of, schedule_zone
from django_q.models.validators import validate_cron, validate_kwarg
from django_q.recurrence import advance, advance_cron, anchored


class Schedule(models.Model):
    """A task to be created at `next_run`, and how that moves on."""

    ONCE = "O"
    MINUTES = "I"
    HOURLY = "H"
    DAILY = "D"
    WEEKLY = "W"
    BIWEEKLY = "BW"
    MONTHLY = "M"
    BIMONTHLY = "BM"
    QUARTERLY = "Q"
    YEARLY = "Y"
    CRON = "C"
    TYPE = (
        (ONCE, _("Once")),
        (MINUTES, _("Minutes")),
        (HOURLY, _("Hourly")),
        (DAILY, _("Daily")),
        (WEEKLY, _("Weekly")),
        (BIWEEKLY, _("Biweekly")),
        (MONTHLY, _("Monthly")),
        (BIMONTHLY, _("Bimonthly")),
        (QUARTERLY, _("Quarterly")),
        (YEARLY, _("Yearly")),
        (CRON, _("Cron")),
    )

    name = models.CharField(
        _("Name"), max_length=100, null=True, blank=True, help_text=_("The group of its tasks.")
    )
    func = models.CharField(
        _("Function"), max_length=256, help_text=_("e.g. module.tasks.function")
    )
    hook = models.CharField(
        _("Hook"),
        max_length=256,
        null=True,
        blank=True,
        help_text=_("e.g. module.tasks.result_function"),
    )
    args = models.TextField(_("Arguments"), null=True, blank=True, help_text=_("e.g. 1, 2, 'John'"))
    kwargs = models.TextField(
        _("Keyword arguments"), null=True, blank=True, help_text=_("e.g. x=1, y=2, name='John'")
    )
    schedule_type = models.CharField(
        _("Schedule Type"), max_length=2, choices=TYPE, default=ONCE, help_text=_("How it repeats.")
    )
    minutes = models.PositiveSmallIntegerField(
        _("Minutes"), null=True, blank=True, help_text=_("Number of minutes for the Minutes type")
    )
    repeats = models.IntegerField(
        _("Repeats"), default=-1, help_text=_("n = n times, -1 = forever")
    )
    next_run = models.DateTimeField(
        _("Next Run"), default=timezone.now, null=True, help_text=_("When it is due next.")
    )
    cron = models.CharField(
        _("Cron"),
        max_length=100,
        null=True,
        blank=True,
        validators=[validate_cron],
        help_text=_("Cron expression"),
    )
    task = models.CharField(
        _("Last task id"), max_length=100, null=True, editable=False, help_text=_("Created last.")
    )
    cluster = models.CharField(
        _("Cluster"),
        max_length=100,
        default=None,
        null=True,
        blank=True,
        help_text=_("Name of the target cluster"),
    )
    intended_date_kwarg = models.CharField(
        _("Intended date kwarg"),
        max_length=100,
        null=True,
        blank=True,
        validators=[validate_kwarg],
        help_text=_("Name of kwarg to pass intended schedule date"),
    )
    #: The due time that was chosen; `next_run` is counted from it (see `recurrence`).
    anchor = models.DateTimeField(_("Anchor"), null=True, editable=False)

    _kept_cron: Any = ...  # until a row was read

    class Meta:
        app_label = "django_q"
        verbose_name = _("Scheduled task")
        verbose_name_plural = _("Scheduled tasks")
        ordering = ["next_run"]

    def __str__(self) -> str:
        """Give the function."""
        return self.func

    @classmethod
    def from_db(
        cls, db: str | None, field_names: Collection[str], values: Collection[Any], **options: Any
    ) -> Self:
        """Remember the cron expression of the row, to see later whether it was changed."""
        schedule = super().from_db(db, field_names, values, **options)
        schedule._kept_cron = schedule._cron_in_force()
        return schedule

    def clean(self) -> None:
        """Ask for a cron expression where the type needs one."""
        if self.schedule_type == self.CRON and not self.cron:
            raise ValidationError({"cron": _("The type Cron needs a cron expression.")})

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save; a new or changed cron expression says first when it is due next."""
        fields = kwargs.get("update_fields")
        written = {"cron", "next_run"} if fields is None else set(fields)
        if written & {"cron", "schedule_type"} and self._is_cron_new():
            self.next_run = self.calculate_next_run()
            written.add("next_run")
        if "next_run" in written:
            self.anchor = self._anchor_of(as_stored(self.next_run))
            written.add("anchor")
        if fields:
            kwargs["update_fields"] = written
        super().save(*args, **kwargs)
        self._kept_cron = self._cron_in_force()

    def calculate_next_run(
        self, next_run: datetime | None = None, *, after: datetime | None = None
    ) -> datetime:
        """Give the due time after `next_run` (default: this schedule's own), and after `after`.

        A cron expression is due at its first match from now on. Raises ValueError for one that is
        wrong, and for the type Once, which does not repeat.
        """
        zone = schedule_zone()
        if self.schedule_type == self.CRON:
            moments = (timezone.now(), as_stored(next_run), after)
            return advance_cron(self.cron or "", max(filter(None, moments)), zone)
        cadence = cadence_of(self.schedule_type, self.minutes)
        if cadence is None:
            raise ValueError(f"The schedule type {self.schedule_type!r} does not repeat.")
        previous = as_stored(next_run or self.next_run) or timezone.now()
        if self.anchor is None and next_run in (None, self.next_run):
            # A row of an old producer: the first step must not lose the day it started from.
            self.anchor = self._anchor_of(previous)
        return advance(cadence, previous, anchor=self.anchor, after=after, zone=zone)

    @column(_("success"), is_boolean=True)
    def success(self) -> bool | None:
        """Tell whether the last task succeeded; None while it has no result."""
        task = self._last_task()
        return None if task is None else task.success

    @column(_("last_run"))
    def last_run(self) -> str | None:
        """Give a link to the last task in the admin; None while it has no result."""
        task = self._last_task()
        return link_to_task(task.pk, task.name, task.success) if task else None

    def _last_task(self) -> Task | None:
        return Task.objects.filter(pk=self.task).only("name", "success").first()

    def _anchor_of(self, moment: datetime | None) -> datetime | None:
        cadence = cadence_of(self.schedule_type, self.minutes)
        if moment is None or cadence is None or cadence.seconds:
            return None
        return anchored(cadence, moment, self.anchor, schedule_zone())

    def _cron_in_force(self) -> Any:
        if {"cron", "schedule_type"} & self.get_deferred_fields():
            return self._kept_cron
        return self.cron if self.schedule_type == self.CRON else None

    def _is_cron_new(self) -> bool:
        cron = self._cron_in_force()
        is_row_new = self.pk is None or self._state.adding
        return cron is not None and (is_row_new or self._kept_cron not in (cron, ...))
