"""Pages of the packages that wait for their time in the database, since their broker cannot."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from django_q.admin.pages import FoundAdmin, moment_text
from django_q.texts import gettext_lazy as _


class DelayedAdmin(FoundAdmin):
    """Pages of delayed packages, which stay closed. One that is deleted does not run."""

    list_display = ("task", "queue", "shown_due", "priority")
    list_filter = ("queue", "due")
    search_fields = ("task__startswith",)
    ordering = ("due",)
    range_field = "due"
    fields = ("task", "queue", "shown_due", "priority")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave the payloads where they are."""
        rows: QuerySet[Any] = super().get_queryset(request).defer("payload")
        return rows

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let nobody change a package."""
        return False

    @admin.display(description=_("Due"), ordering="due")
    def shown_due(self, obj: Any) -> str | None:
        """Give when it is due, to the second."""
        return moment_text(obj.due)
