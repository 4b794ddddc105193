"""What keeps tasks from each other: keys that are taken, permits to run, and paces.

Rows are there only for tasks that ask for them.
"""

from django.db import models

from django_q.texts import gettext_lazy as _


class UniqueKey(models.Model):
    """A key that a task has taken: no other task with it is enqueued until it is free."""

    key = models.CharField(_("Key"), max_length=100, primary_key=True)
    task = models.CharField(_("Task id"), max_length=32, db_index=True)
    #: How long it is taken: see the option `unique`.
    scope = models.CharField(_("Scope"), max_length=10)
    #: Where the task waits; null if a release that did not say took the key.
    queue = models.CharField(_("Queue"), max_length=100, null=True)
    #: Free from then on, whatever became of the task; never if null.
    until = models.DateTimeField(_("Until"), null=True, db_index=True)

    class Meta:
        app_label = "django_q"
        verbose_name = _("Unique key")
        verbose_name_plural = _("Unique keys")

    def __str__(self) -> str:
        """Give the key."""
        return self.key


class Permit(models.Model):
    """One of the places that tasks with one concurrency key share; held while one runs."""

    id = models.BigAutoField(primary_key=True, verbose_name="ID")
    key = models.CharField(_("Key"), max_length=100)
    #: 0 to limit - 1.
    place = models.PositiveIntegerField(_("Place"))
    task = models.CharField(_("Task id"), max_length=32, db_index=True)
    #: Renewed while the task runs; later than that its machine is gone.
    until = models.DateTimeField(_("Until"))

    class Meta:
        app_label = "django_q"
        verbose_name = _("Permit")
        verbose_name_plural = _("Permits")
        constraints = [
            models.UniqueConstraint(fields=["key", "place"], name="django_q_permit_once")
        ]

    def __str__(self) -> str:
        """Give key and place."""
        return f"{self.key}/{self.place}"


class Pace(models.Model):
    """When the next task with a rate limit may start (GCRA's theoretical arrival time)."""

    key = models.CharField(_("Key"), max_length=100, primary_key=True)
    #: Seconds since 1970.
    next = models.FloatField(_("Next"))

    class Meta:
        app_label = "django_q"
        verbose_name = _("Pace")
        verbose_name_plural = _("Paces")

    def __str__(self) -> str:
        """Give the key."""
        return self.key
