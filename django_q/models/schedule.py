"""Schedules: tasks to be created at certain times.

Written by whoever plans (code, admin); the scheduler in the housekeeper moves `next_run` on.
"""

from collections.abc import Collection
from typing import Any, Self

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.utils import timezone

from django_q.models.columns import column, link_to_task
from django_q.models.task import Task
from django_q.models.timing import Timed, as_stored
from django_q.models.validators import validate_cron, validate_kwarg
from django_q.schedule_arguments import is_sealed, parse_args, parse_kwargs
from django_q.texts import gettext_lazy as _

#: Columns whose change says something about others.
_WATCHED = ("cron", "schedule_type", "enabled", "next_run")


class Schedule(Timed, models.Model):
    """A task to be created at `next_run`, and how that moves on."""

    TYPE = (
        (Timed.ONCE, _("Once")),
        (Timed.SECONDS, _("Seconds")),
        (Timed.MINUTES, _("Minutes")),
        (Timed.HOURLY, _("Hourly")),
        (Timed.DAILY, _("Daily")),
        (Timed.WEEKLY, _("Weekly")),
        (Timed.BIWEEKLY, _("Biweekly")),
        (Timed.MONTHLY, _("Monthly")),
        (Timed.BIMONTHLY, _("Bimonthly")),
        (Timed.QUARTERLY, _("Quarterly")),
        (Timed.YEARLY, _("Yearly")),
        (Timed.CRON, _("Cron")),
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
        _("Schedule Type"),
        max_length=2,
        choices=TYPE,
        default=Timed.ONCE,
        help_text=_("How it repeats."),
    )
    minutes = models.PositiveSmallIntegerField(
        _("Minutes"), null=True, blank=True, help_text=_("Number of minutes for the Minutes type")
    )
    seconds = models.PositiveIntegerField(
        _("Seconds"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("Number of seconds for the Seconds type"),
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
    enabled = models.BooleanField(
        _("Enabled"),
        default=True,
        db_default=True,
        help_text=_("What falls due while it is not is passed over."),
    )
    catch_up = models.BooleanField(
        _("Catch up"),
        null=True,
        blank=True,
        help_text=_("Make up for missed runs. Unknown: as the settings say; cron does not."),
    )
    #: Why the scheduler disabled it.
    error = models.TextField(_("Error"), null=True, blank=True, editable=False)
    #: The due time that was chosen; `next_run` is counted from it (see `recurrence`).
    anchor = models.DateTimeField(_("Anchor"), null=True, editable=False)
    #: Arguments that `args` and `kwargs` only show (see `schedule_arguments`).
    sealed = models.TextField(_("Sealed arguments"), null=True, editable=False)
    #: Of a schedule that is kept as settings or code say: which of them, and a digest of what.
    declaration = models.CharField(_("Declaration"), max_length=100, null=True, editable=False)

    #: What the row said when it was read or written last.
    _kept: dict[str, Any] | None = None

    class Meta:
        app_label = "django_q"
        verbose_name = _("Scheduled task")
        verbose_name_plural = _("Scheduled tasks")
        ordering = ["next_run"]
        indexes = [models.Index(fields=["enabled", "next_run"], name="django_q_schedule_due")]

    def __str__(self) -> str:
        """Give the function."""
        return self.func

    @classmethod
    def from_db(
        cls, db: str | None, field_names: Collection[str], values: Collection[Any], **options: Any
    ) -> Self:
        """Remember what the row says, to see later whether it was changed."""
        schedule = super().from_db(db, field_names, values, **options)
        schedule._keep()
        return schedule

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        """Read the row again, and remember what it says now."""
        super().refresh_from_db(*args, **kwargs)
        self._keep()

    def clean(self) -> None:
        """Ask for what the type needs, and for arguments that can be read."""
        problems: dict[str, Any] = {}
        if self.schedule_type == self.CRON and not self.cron:
            problems["cron"] = _("The type Cron needs a cron expression.")
        if self.schedule_type == self.SECONDS and not self.seconds:
            problems["seconds"] = _("The type Seconds needs a number of seconds.")
        if not is_sealed(self.args, self.kwargs, self.sealed):
            for name, parse in (("args", parse_args), ("kwargs", parse_kwargs)):
                try:
                    parse(getattr(self, name))
                except ValueError as error:
                    problems[name] = str(error)
        if problems:
            raise ValidationError(problems)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save; a new or changed cron expression says first when it is due next.

        One that is enabled again forgets its error, and passes over what it missed.
        """
        fields = kwargs.get("update_fields")
        written = {"cron", "next_run", "enabled"} if fields is None else set(fields)
        if written & {"cron", "schedule_type"} and self._is_cron_new():
            self.next_run = self.calculate_next_run()
            written.add("next_run")
        if "enabled" in written and self._is_enabled_again():
            self._resume()
            written |= {"error", "next_run"}
        if "next_run" in written:
            self.anchor = self._anchor_of(as_stored(self.next_run))
            written.add("anchor")
        if fields:
            kwargs["update_fields"] = written
        super().save(*args, **kwargs)
        self._keep()

    @column(_("Success"), is_boolean=True)
    def success(self) -> bool | None:
        """Tell whether the last task succeeded; None while it has no result."""
        task = self._last_task()
        return None if task is None else task.success

    @column(_("Last run"))
    def last_run(self) -> str | None:
        """Give a link to the last task in the admin; None while it has no result."""
        task = self._last_task()
        return link_to_task(task.pk, task.name, task.success) if task else None

    def _last_task(self) -> Task | None:
        return Task.objects.filter(pk=self.task).only("name", "success").first()

    def _keep(self) -> None:
        missing = self.get_deferred_fields()
        kept = {name: getattr(self, name) for name in _WATCHED if name not in missing}
        self._kept = (self._kept or {}) | kept

    def _is_cron_new(self) -> bool:
        if {"cron", "schedule_type"} & self.get_deferred_fields():
            return False
        if self.schedule_type != self.CRON or self.cron is None:
            return False
        if self.pk is None or self._state.adding:
            return True
        kept = {"cron": self.cron, "schedule_type": self.CRON} | (self._kept or {})
        return (kept["cron"], kept["schedule_type"]) != (self.cron, self.CRON)

    def _is_enabled_again(self) -> bool:
        if not self.__dict__.get("enabled"):
            return False
        return bool(self.__dict__.get("error")) or not (self._kept or {}).get("enabled", True)

    def _resume(self) -> None:
        self.error = None
        due, now = as_stored(self.next_run), timezone.now()
        is_as_read = self._kept is not None and self._kept.get("next_run") == self.next_run
        if is_as_read and due and due < now and self.schedule_type != self.ONCE:
            self.next_run = self.calculate_next_run(after=now)
