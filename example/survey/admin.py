"""Surveys in the admin, beside Django Q's own pages."""

from django.contrib import admin
from django.http import HttpRequest

from survey.models import Survey


@admin.register(Survey)
class SurveyAdmin(admin.ModelAdmin):
    """To look at and to delete; surveys are started on the page."""

    list_display = ["pk", "started", "total"]
    readonly_fields = ["group", "started", "total"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds a survey by hand: it would have no tasks."""
        return False
