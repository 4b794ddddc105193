"""Filters of the lists: none of them counts, sorts or compares all rows of a long table."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from django.contrib.admin import FieldListFilter, SimpleListFilter
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Field, Model, QuerySet
from django.http import HttpRequest
from django.utils.formats import number_format
from django.utils.functional import cached_property

from django_q.texts import gettext
from django_q.texts import gettext_lazy as _

# The stubs take a parameter that the class does not.
if TYPE_CHECKING:
    _Paginator = Paginator[Any]
else:
    _Paginator = Paginator

#: Rows of a long table that a list is of, unless somebody asks for all. Looked through in 20 ms.
COUNTED_ROWS = 10_000
#: Rows at the list's beginning whose values a filter offers, and how many of these.
_RECENT_ROWS = 1_000
_OFFERED = 12


class BoundedPaginator(_Paginator):
    """Counts up to `COUNTED_ROWS`: to count all rows of a large table takes seconds."""

    @cached_property
    def count(self) -> int:
        """Give the number of rows, or `COUNTED_ROWS` if there are more."""
        rows: Any = self.object_list
        if isinstance(rows, QuerySet):
            return rows.order_by().values("pk")[:COUNTED_ROWS].count()
        return min(len(rows), COUNTED_ROWS)


class RangeFilter(SimpleListFilter):
    """Keeps a list to its first `COUNTED_ROWS` rows, so that any search and order of it is quick.

    The `range_field` of the admin class says by which indexed column; "-" before it for a list
    that begins with the largest.
    """

    title = _("range")
    parameter_name = "range"

    def __init__(
        self, request: HttpRequest, params: dict[str, Any], model: type[Model], model_admin: Any
    ) -> None:
        self._admin = model_admin
        self._field: str = model_admin.range_field
        self._edge = self._find_edge(request)
        super().__init__(request, params, model, model_admin)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Offer all rows, where there are more than the list begins with."""
        return [] if self._edge is None else [("all", _("All rows (slow)"))]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Give the two choices."""
        first = gettext("The first %(number)s") % {"number": number_format(COUNTED_ROWS)}
        for choice, display in zip(super().choices(changelist), (first, None), strict=True):
            yield {**choice, **({"display": display} if display else {})}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Leave out what is behind the edge."""
        chosen = request.POST.getlist(ACTION_CHECKBOX_NAME)
        if chosen and request.POST.get("select_across") != "1":
            # What somebody ticked stays ticked: new rows push it on while the page is looked at.
            return queryset
        if self.value() == "all" or self._admin.is_quick_search(request):
            return queryset
        name = self._field.removeprefix("-")
        operator = "gte" if self._field.startswith("-") else "lte"
        return queryset.filter(**{f"{name}__{operator}": self._edge})

    def _find_edge(self, request: HttpRequest) -> Any:
        rows = self._admin.get_queryset(request).order_by(self._field)
        values = rows.values_list(self._field.removeprefix("-"), flat=True)
        return next(iter(values[COUNTED_ROWS : COUNTED_ROWS + 1]), None)


class ValueFilter(FieldListFilter):
    """Offers the values that are frequent at the list's beginning; if it may, a field for others.

    The `typed_filters` of the admin class name the columns with a field: those with an index.
    """

    def __init__(self, field: Any, request: HttpRequest, *args: Any, field_path: str) -> None:
        model_admin = args[-1]
        self._isnull = f"{field_path}__isnull"
        super().__init__(field, request, *args, field_path=field_path)  # type: ignore[misc]
        self._values = self._look(model_admin.get_queryset(request), model_admin)
        #: What the template makes the field of; None without one.
        self.box: dict[str, Any] | None = None
        self._has_box = field_path in getattr(model_admin, "typed_filters", ())
        if self._has_box:
            self.template = "django_q/admin/value_filter.html"

    def expected_parameters(self) -> list[str | None]:
        """Give the parameters that are this filter's."""
        return [self.field_path, self._isnull]

    def has_output(self) -> bool:
        """Show the filter where there is something to choose."""
        return bool(self.used_parameters) or len(self._values) > (0 if self._has_box else 1)

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Give the choices; the first is no filter."""
        chosen: list[Any] = self.used_parameters.get(self.field_path) or []  # type: ignore[assignment]
        own = [self.field_path, self._isnull]
        if self._has_box:
            others = {key: value for key, value in changelist.params.items() if key not in own}
            self.box = {"value": "".join(chosen[-1:]), "others": others}
        yield {
            "selected": not self.used_parameters,
            "query_string": changelist.get_query_string(remove=own),
            "display": gettext("All"),
        }
        for value in dict.fromkeys([*self._values, *chosen]):
            yield {
                "selected": value in chosen if value else self._isnull in self.used_parameters,
                "query_string": changelist.get_query_string(
                    {self.field_path: value} if value else {self._isnull: "True"}, own
                ),
                "display": value or gettext("None"),
            }

    def _look(self, rows: QuerySet[Any], model_admin: Any) -> list[str]:
        """Give the most frequent values at the list's beginning, in their order; None last."""
        recent = rows.order_by(getattr(model_admin, "range_field", "") or "-pk").values_list(
            self.field_path
        )
        found: Counter[Any] = Counter(value or None for (value,) in recent[:_RECENT_ROWS])
        values = [value for value, _number in found.most_common(_OFFERED)]
        return sorted(values, key=lambda value: (value is None, value))


def quick_filters(list_filter: Iterable[Any], model: type[Model], has_range: bool) -> list[Any]:
    """Give a list of filters with `ValueFilter` for plain names of texts, and with a range."""
    names = {
        field.name
        for field in model._meta.get_fields()
        if isinstance(field, Field) and field.get_internal_type() == "CharField"
        if not field.choices
    }
    quick = [(item, ValueFilter) if item in names else item for item in list_filter]
    return [*quick, RangeFilter] if has_range else quick
