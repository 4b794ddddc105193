"""The tables of the ORM broker: waiting packages, heartbeats; and what was never let in.

Written by producers, by the clerks and by the housekeeper.
"""

import hashlib
from typing import Any

from django.db import models
from django.utils import timezone
from django.utils.functional import cached_property

from django_q.models.columns import column
from django_q.package import function_path
from django_q.sealed import open_package
from django_q.texts import gettext_lazy as _

_SHOWN_APART = frozenset({"id", "name", "group", "func", "args", "kwargs"})


class OrmQ(models.Model):
    """A package in the ORM broker's keeping.

    It waits while `lock` is past; with `lock` in the future it is leased if it has a `token`, and
    delayed if not. An old producer writes key, payload and lock only.
    """

    id = models.BigAutoField(primary_key=True, verbose_name="ID")
    key = models.CharField(
        _("Cluster key"), max_length=100, help_text=_("Name of the target cluster")
    )
    payload = models.TextField(
        _("Payload"), help_text=_("The sealed package. A changed one is refused.")
    )
    lock = models.DateTimeField(
        _("Lock until"), null=True, help_text=_("Prevent any cluster from pulling until")
    )
    deliveries = models.PositiveIntegerField(
        _("Deliveries"),
        default=0,
        db_default=0,
        editable=False,
        help_text=_("How often it was leased."),
    )
    priority = models.SmallIntegerField(
        _("Priority"),
        default=0,
        db_default=0,
        help_text=_("Higher ones are lent first."),
    )
    token = models.CharField(
        _("Token"),
        max_length=64,
        null=True,
        blank=True,
        editable=False,
        help_text=_("Names the lease."),
    )

    class Meta:
        app_label = "django_q"
        verbose_name = _("Queued task")
        verbose_name_plural = _("Queued tasks")
        indexes = [
            models.Index(name="django_q_ormq_claim", fields=["key", "priority", "lock", "id"])
        ]

    def __str__(self) -> str:
        """Give key and number; the payload stays closed."""
        return f"{self.key} {self.pk}"

    @cached_property
    def task(self) -> dict[str, Any]:
        """The package, opened (which runs code of the classes in it).

        For one that cannot be opened a dict with only an id: `*` and the name of the error.
        """
        try:
            return dict(open_package(self.payload, self.key))
        except Exception as error:  # opening is user code
            return {"id": f"*{type(error.__cause__ or error).__name__}"}

    @column(_("Function"))
    def func(self) -> str | None:
        """Give the dotted path of the function."""
        func = self.task.get("func")
        return function_path(func) if func else None

    @column(_("Task id"))
    def task_id(self) -> str:
        """Give the id of the task."""
        return str(self.task["id"])

    @column(_("Name"))
    def name(self) -> str | None:
        """Give the name of the task."""
        return self.task.get("name")

    @column(_("Group"))
    def group(self) -> str | None:
        """Give the group of the task."""
        return self.task.get("group")

    @column(_("Arguments"))
    def args(self) -> tuple[Any, ...] | None:
        """Give the positional arguments."""
        return self.task.get("args")

    @column(_("Keyword arguments"))
    def kwargs(self) -> dict[str, Any] | None:
        """Give the keyword arguments."""
        return self.task.get("kwargs")

    @column(_("Queue options"))
    def q_options(self) -> dict[str, Any]:
        """Give the options, and the time of enqueueing."""
        return {key: value for key, value in self.task.items() if key not in _SHOWN_APART}


class Heartbeat(models.Model):
    """What a cluster says about itself: the ORM broker's `set_stat`."""

    key = models.CharField(_("Key"), max_length=200, primary_key=True)
    value = models.TextField(_("Value"))
    expires = models.DateTimeField(_("Expires"), db_index=True)

    class Meta:
        app_label = "django_q"
        verbose_name = _("Heartbeat")
        verbose_name_plural = _("Heartbeats")

    def __str__(self) -> str:
        """Give the key."""
        return self.key


class Rejected(models.Model):
    """A package of any broker that could not be opened and never ran: kept, once."""

    id = models.BigAutoField(primary_key=True, verbose_name="ID")
    queue = models.CharField(_("Queue"), max_length=100)
    payload = models.TextField(_("Payload"))
    reason = models.TextField(_("Reason"))
    rejected = models.DateTimeField(_("Rejected"), default=timezone.now, db_index=True)
    digest = models.CharField(_("Digest"), max_length=64, unique=True, editable=False)

    class Meta:
        app_label = "django_q"
        verbose_name = _("Rejected package")
        verbose_name_plural = _("Rejected packages")
        permissions = [("requeue_rejected", "Can requeue Rejected package")]

    def __str__(self) -> str:
        """Give queue and number; the payload stays closed."""
        return f"{self.queue} {self.pk}"

    @staticmethod
    def digest_of(queue: str, payload: str) -> str:
        """Give the digest that makes a package unique: SHA-256 of queue, NUL and payload."""
        text = f"{queue}\0{payload}".encode("utf-8", "surrogatepass")
        return hashlib.sha256(text).hexdigest()
