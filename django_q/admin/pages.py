"""What the admin's pages have in common: they stay quick however long the tables are."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.html import format_html

from django_q.admin.looking import show

# The stubs take a parameter that the classes do not.
if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    _Paginator = Paginator[Any]
else:
    ModelAdmin = admin.ModelAdmin
    _Paginator = Paginator

#: Rows that a list counts and can be paged through; a search or filter finds the others.
COUNTED_ROWS = 10_000


class BoundedPaginator(_Paginator):
    """Counts up to `COUNTED_ROWS`: to count all rows of a large table takes seconds."""

    @cached_property
    def count(self) -> int:
        """Give the number of rows, or `COUNTED_ROWS` if there are more."""
        rows: Any = self.object_list
        if isinstance(rows, QuerySet):
            return rows.order_by().values("pk")[:COUNTED_ROWS].count()
        return min(len(rows), COUNTED_ROWS)


class FoundAdmin(ModelAdmin):
    """Pages of rows that nobody makes by hand."""

    show_full_result_count = False
    paginator = BoundedPaginator

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Let nobody add a row."""
        return False


class ReadAdmin(FoundAdmin):
    """Pages of rows that are only read."""

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Let nobody change a row."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Let nobody delete a row."""
        return False


def text_block(value: Any) -> str:
    """Give the HTML of a value, escaped and limited, with its line breaks."""
    return format_html('<pre style="white-space: pre-wrap; margin: 0">{}</pre>', show(value))
