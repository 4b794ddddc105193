"""Pages of the schedules, where people plan."""

from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from django_q.admin.pages import BoundedPaginator, ModelAdmin
from django_q.models import Task
from django_q.models.columns import link_to_task


class ScheduleAdmin(ModelAdmin):
    """Pages of the schedules, with how the last task of each went."""

    show_full_result_count = False
    paginator = BoundedPaginator
    list_display = (
        *("id", "name", "func", "schedule_type", "repeats", "cluster", "next_run"),
        *("get_last_run", "get_success"),
    )
    list_display_links = ("id", "name")
    list_filter = ("next_run", "schedule_type", "cluster")
    search_fields = ("name", "func")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Take along what the list shows of the last tasks, instead of a query for each."""
        last = Task.objects.filter(id=OuterRef("task")).order_by()
        rows: QuerySet[Any] = super().get_queryset(request)
        annotated: QuerySet[Any] = rows.annotate(
            task_id=Subquery(last.values("id")),
            task_name=Subquery(last.values("name")),
            task_success=Subquery(last.values("success")),
        )
        return annotated

    @admin.display(description=_("success"), boolean=True)
    def get_success(self, obj: Any) -> bool | None:
        """Tell whether the last task succeeded."""
        success: bool | None = obj.task_success
        return success

    @admin.display(description=_("last_run"))
    def get_last_run(self, obj: Any) -> str | None:
        """Give a link to the last task."""
        if obj.task_id is None:
            return None
        return link_to_task(obj.task_id, obj.task_name, obj.task_success)
