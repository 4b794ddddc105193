"""The ledger: what went wrong with a package that is not done yet.

Written by the housekeeper and the clerks, and only when something went wrong; looked up from a
package's second delivery on.
"""

import hashlib

from django.db import models

from django_q.texts import gettext_lazy as _


class Ledger(models.Model):
    """Deaths and lost leases of one package, and the verdict once they are too many."""

    #: Task id, or `queue:tracking id` of a package that was not opened yet.
    key = models.CharField(
        max_length=100,
        primary_key=True,
        verbose_name=_("Key"),
        help_text=_("Task id, or queue and tracking id of a package not opened yet."),
    )
    deaths = models.PositiveIntegerField(
        default=0,
        db_default=0,
        verbose_name=_("Deaths"),
        help_text=_("Workers that died while they ran it."),
    )
    lapses = models.PositiveIntegerField(
        default=0,
        db_default=0,
        verbose_name=_("Lapses"),
        help_text=_("Leases that nobody renewed in time."),
    )
    verdict = models.TextField(
        null=True,
        blank=True,
        verbose_name=_("Verdict"),
        help_text=_("If set, the task is not run again but fails with this text."),
    )
    reason = models.TextField(
        default="",
        blank=True,
        verbose_name=_("Reason"),
        help_text=_("What went wrong last."),
    )
    updated = models.DateTimeField(auto_now=True, verbose_name=_("Updated"))

    class Meta:
        app_label = "django_q"
        verbose_name = _("Ledger entry")
        verbose_name_plural = _("Ledger")

    def __str__(self) -> str:
        """Give the key."""
        return self.key


def package_key(queue: str, tracking_id: str, payload: str) -> str:
    """Give the key of a package: queue and tracking id, else a digest of the payload."""
    name = tracking_id or hashlib.sha256(payload.encode()).hexdigest()
    key = f"{queue}:{name}"
    return key if len(key) <= 100 else hashlib.sha256(key.encode()).hexdigest()
