"""Tasks that belong together and what follows when all of them are done: iterations.

A gathering is written by the producer, its parts by the clerks in the transaction of their
results, so that no two clusters can lose one another's.
"""

from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from django_q.texts import gettext_lazy as _


class Gathering(models.Model):
    """Waits for its parts; once they are all there its own package is sent."""

    #: 32 hex digits; also the id of the task that follows.
    id = models.CharField(_("ID"), max_length=32, primary_key=True)
    #: Null while the producer is still sending.
    total = models.PositiveIntegerField(_("Total"), null=True)
    queue = models.CharField(_("Queue"), max_length=100)
    payload = models.TextField(_("Payload"), help_text=_("The sealed package that follows."))
    #: Of the package that follows, as is its time.
    priority = models.SmallIntegerField(_("Priority"), default=0, db_default=0)
    run_at = models.DateTimeField(_("Not before"), null=True)
    created = models.DateTimeField(_("Created"), default=timezone.now, db_index=True)
    #: It is kept at least so long; null: a week from `created` on.
    until = models.DateTimeField(_("Until"), null=True)
    sent = models.BooleanField(_("Sent"), default=False, db_default=False)

    class Meta:
        app_label = "django_q"
        verbose_name = _("Gathering")
        verbose_name_plural = _("Gatherings")

    def __str__(self) -> str:
        """Give the id."""
        return self.id


class GatheredPart(models.Model):
    """The result of one part; a second result of the same part changes nothing."""

    id = models.BigAutoField(primary_key=True, verbose_name="ID")
    # No foreign key: parts may come before the producer's row is visible, or after it is gone.
    gathering = models.CharField(_("Gathering"), max_length=32)
    position = models.PositiveIntegerField(_("Position"))
    success = models.BooleanField(_("Success"))
    result = models.TextField(_("Result"), null=True)
    created = models.DateTimeField(
        _("Created"), default=timezone.now, db_default=Now(), db_index=True
    )

    class Meta:
        app_label = "django_q"
        verbose_name = _("Gathered part")
        verbose_name_plural = _("Gathered parts")
        constraints = [
            models.UniqueConstraint(fields=["gathering", "position"], name="django_q_part_once")
        ]

    def __str__(self) -> str:
        """Give gathering and position."""
        return f"{self.gathering}/{self.position}"
