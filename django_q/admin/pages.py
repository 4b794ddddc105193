"""What the admin's pages have in common: they stay quick however long the tables are."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.admin import ShowFacets
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.contrib.admin.utils import quote, unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.db.models.functions import Substr
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import formats
from django.utils.text import capfirst
from django.utils.timezone import is_aware, localtime

from django_q.admin.filters import COUNTED_ROWS, BoundedPaginator, quick_filters
from django_q.admin.looking import LONGEST
from django_q.admin.showing import text_block

__all__ = [
    "COUNTED_ROWS",
    "EMPTY",
    "BoundedPaginator",
    "ButtonAdmin",
    "FoundAdmin",
    "ModelAdmin",
    "QuickAdmin",
    "ReadAdmin",
    "load_heads",
    "moment_text",
    "text_block",
]

#: What Django shows of an empty column, but not where a method of a page gives None.
EMPTY = "-"

# The stubs take a parameter that the class does not.
if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin


class _QuickList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        column = getattr(self.model_admin, "head_column", "")
        if column:
            load_heads(self.result_list, column)


class QuickAdmin(ModelAdmin):
    """Pages with a list that takes no longer with a million rows.

    It is of the first `COUNTED_ROWS` rows, unless somebody asks for all; so search, filters and
    any order of it are quick.
    """

    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    paginator = BoundedPaginator
    list_per_page = 50

    #: The indexed column by which a list has its first rows; see `RangeFilter`.
    range_field: ClassVar[str] = ""
    #: The long column of which a list shows the beginning; see `load_heads`.
    head_column: ClassVar[str] = ""
    #: Filters of indexed columns, which take any value and are quick without a range.
    typed_filters: ClassVar[Sequence[str]] = ()

    class Media:
        css: ClassVar[Any] = {"all": ("django_q/admin.css",)}

    def get_list_filter(self, request: HttpRequest) -> Any:
        """Take quick filters for those that would compare all rows."""
        return quick_filters(super().get_list_filter(request), self.model, bool(self.range_field))

    def is_quick_search(self, request: HttpRequest) -> bool:
        """Tell whether an index finds the rows that are asked for, so that no range is needed."""
        return any(request.GET.get(name) for name in self.typed_filters)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Give the list that loads the beginnings of a long column."""
        return _QuickList


class ButtonAdmin(QuickAdmin):
    """Pages where actions of the list are buttons on the page of one row, too."""

    change_form_template = "django_q/admin/change_form.html"

    #: Actions that the page of one row has as buttons, with their labels.
    buttons: ClassVar[dict[str, Any]] = {}

    def get_buttons(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Give the buttons that make sense for a row."""
        return self.buttons

    def get_urls(self) -> list[URLPattern]:
        """Add the address that the buttons send to."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_act"
        view = self.admin_site.admin_view(self.act_view)
        urls: list[URLPattern] = super().get_urls()
        return [path("<path:object_id>/act/<str:action>/", view, name=name), *urls]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Add the buttons of the actions that the user may take."""
        allowed = self.get_actions(request)
        row: Any = context.get("original")
        context["django_q_buttons"] = [
            {"label": label, "url": self._address("act", quote(row.pk), name)}
            for name, label in (self.get_buttons(request, row) if row else {}).items()
            if name in allowed
        ]
        return super().render_change_form(request, context, *args, **kwargs)

    def act_view(self, request: HttpRequest, object_id: str, action: str) -> HttpResponse:
        """Take an action for one row, then show it, or the list if it is gone."""
        key = unquote(object_id)
        row = self.get_object(request, key)
        if request.method == "POST":
            if action not in self.buttons or action not in self.get_actions(request):
                raise PermissionDenied
            if row is not None:
                found: Any = self.get_actions(request)[action]
                # A tuple until Django 6.1.
                act = found.func if hasattr(found, "func") else found[0]
                act(self, request, self.get_queryset(request).filter(pk=row.pk))
                row = self.get_object(request, key)
        if row is not None:
            return HttpResponseRedirect(self._address("change", quote(row.pk)))
        kept: Any = {"preserved_filters": self.get_preserved_filters(request), "opts": self.opts}
        return HttpResponseRedirect(add_preserved_filters(kept, self._address("changelist")))

    def _address(self, kind: str, *arguments: Any) -> str:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_{kind}"
        return reverse(name, args=arguments, current_app=self.admin_site.name)


class FoundAdmin(ButtonAdmin):
    """Pages of rows that nobody makes by hand."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Let nobody add a row."""
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list, under what it is a list of: nothing here is selected to be changed."""
        context = {"title": capfirst(self.opts.verbose_name_plural), **(extra_context or {})}
        return super().changelist_view(request, context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show a row, under what it is."""
        context = {"title": capfirst(self.opts.verbose_name), **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)


class ReadAdmin(FoundAdmin):
    """Pages of rows that are only read."""

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Let nobody change a row."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Let nobody delete a row."""
        return False


def load_heads(rows: Iterable[Any], column: str) -> None:
    """Give each of some rows a `head`: the beginning of a column, or None.

    With a query of its own, since else it would be cut out of every row that is sorted.
    """
    by_key = {row.pk: row for row in rows}
    if not by_key:
        return
    first = next(iter(by_key.values()))
    everything = type(first)._base_manager.using(first._state.db).order_by()
    found = everything.filter(pk__in=by_key).values_list("pk", Substr(column, 1, LONGEST + 1))
    for row in by_key.values():
        row.head = None
    for key, head in found:
        by_key[key].head = head


def moment_text(moment: datetime | None, *, is_exact: bool = False) -> str:
    """Give a moment to the second, or to the millisecond, in the reader's time zone and format."""
    if moment is None:
        return EMPTY
    local = localtime(moment) if is_aware(moment) else moment
    day = formats.date_format(local, "SHORT_DATE_FORMAT")
    return f"{day} {local:%H:%M:%S}" + (f".{local.microsecond // 1000:03}" if is_exact else "")
