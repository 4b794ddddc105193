"""Packages whose time has not come, where the broker cannot hold them back itself."""

from django.db import models

from django_q.texts import gettext_lazy as _


class Delayed(models.Model):
    """A sealed package on its way to a queue.

    Written by producers and clerks; the housekeeper of that queue hands it to the broker when it
    is due.
    """

    id = models.BigAutoField(primary_key=True, verbose_name="ID")
    #: The task in it, whatever is in the package.
    task = models.CharField(_("Task id"), max_length=32, db_index=True)
    queue = models.CharField(_("Queue"), max_length=100)
    payload = models.TextField(_("Payload"))
    priority = models.SmallIntegerField(_("Priority"), default=0, db_default=0)
    due = models.DateTimeField(_("Due"))

    class Meta:
        app_label = "django_q"
        verbose_name = _("Delayed task")
        verbose_name_plural = _("Delayed tasks")
        indexes = [models.Index(name="django_q_delayed_due", fields=["queue", "due"])]

    def __str__(self) -> str:
        """Give the task's id; the payload stays closed."""
        return self.task
