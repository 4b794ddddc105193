"""Pages of what the brokers keep: the ORM broker's queue, the ledger."""

import itertools
from collections.abc import Iterable
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from django_q.admin.looking import LONGEST, look_into_package
from django_q.admin.pages import FoundAdmin, ReadAdmin, load_heads, moment_text, text_block
from django_q.admin.showing import path_text, show
from django_q.conf import Conf
from django_q.dispatch import forget_packages
from django_q.models import OrmQ
from django_q.package import function_path
from django_q.texts import gettext
from django_q.texts import gettext_lazy as _

#: Packages that are looked into together: their heads are up to 64 KB long.
_LOOK = 100
_SHOWN_APART = ("id", "name", "group", "func", "args", "kwargs")


def _is_in_use() -> bool:
    return bool(Conf.ORM or Conf.TESTING)


class StateFilter(admin.SimpleListFilter):
    """Waiting, leased or delayed, as `OrmQ` says it."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Give the three."""
        return [("waiting", _("Waiting")), ("leased", _("Leased")), ("delayed", _("Delayed"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Look at lock and token."""
        now = timezone.now()
        if self.value() == "waiting":
            return queryset.exclude(lock__gt=now)
        if self.value() in ("leased", "delayed"):
            return queryset.filter(lock__gt=now, token__isnull=self.value() == "delayed")
        return queryset


class QueueAdmin(FoundAdmin):
    """Pages of the ORM broker's queue; shown only where that broker is used, or in testing.

    Packages are looked into, never opened: no code of theirs runs in the web server.
    """

    list_display = (
        *("id", "name", "shown_func", "state", "key", "shown_lock", "priority", "group", "task_id"),
    )
    list_display_links = ("id", "name")
    list_filter = ("key", StateFilter)
    ordering = ("id",)
    range_field = "id"
    typed_filters = ("key",)
    head_column = "payload"
    fields: ClassVar[Any] = (
        *("key", "lock", "priority", "state", "deliveries", "task_id", "name", "group", "func"),
        *("args", "kwargs", "q_options"),
    )
    readonly_fields: ClassVar[Any] = fields[2:]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave the packages where they are."""
        rows: QuerySet[Any] = super().get_queryset(request).using(Conf.ORM).defer("payload")
        return rows

    def save_model(self, request: HttpRequest, obj: OrmQ, form: Any, change: bool) -> None:
        """Save where the broker reads."""
        obj.save(using=Conf.ORM, update_fields=form.changed_data if change else None)

    def delete_model(self, request: HttpRequest, obj: OrmQ) -> None:
        """Delete where the broker reads; the task is not waited for any more."""
        ids = _task_ids([obj])
        obj.delete(using=Conf.ORM)
        forget_packages(ids)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete many; their tasks are not waited for any more."""
        ids = _task_ids(queryset.iterator(_LOOK))
        super().delete_queryset(request, queryset)
        forget_packages(ids)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Hide the queue where another broker is used."""
        return _is_in_use() and super().has_module_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Hide the queue where another broker is used."""
        return _is_in_use() and super().has_view_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Hide the queue where another broker is used."""
        return _is_in_use() and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Hide the queue where another broker is used."""
        return _is_in_use() and super().has_delete_permission(request, obj)

    @admin.display(description=_("State"))
    def state(self, obj: OrmQ) -> str:
        """Tell whether the package waits, is leased, or is delayed."""
        if obj.lock is None or obj.lock <= timezone.now():
            return gettext("Waiting")
        return gettext("Delayed") if obj.token is None else gettext("Leased")

    @admin.display(description=_("Lock until"), ordering="lock")
    def shown_lock(self, obj: OrmQ) -> str:
        """Give the time from which on the package may be leased, to the second."""
        return moment_text(obj.lock)

    @admin.display(description=_("Task id"))
    def task_id(self, obj: OrmQ) -> str:
        """Give the id of the task, or a mark that it cannot be seen."""
        return show(_package(obj).get("id", "*"), 100)

    @admin.display(description=_("Name"))
    def name(self, obj: OrmQ) -> str:
        """Give the name of the task."""
        return show(_package(obj).get("name", ""), 100)

    @admin.display(description=_("Group"))
    def group(self, obj: OrmQ) -> str:
        """Give the group of the task."""
        return show(_package(obj).get("group", ""), 100)

    @admin.display(description=_("Function"))
    def func(self, obj: OrmQ) -> str:
        """Give the dotted path of the function."""
        func = _package(obj).get("func")
        return function_path(func) if func else ""

    @admin.display(description=_("Function"))
    def shown_func(self, obj: OrmQ) -> SafeString:
        """Give the function, with places to break the line."""
        return path_text(self.func(obj))

    @admin.display(description=_("Arguments"))
    def args(self, obj: OrmQ) -> str:
        """Give the positional arguments as text."""
        return text_block(_package(obj).get("args"))

    @admin.display(description=_("Keyword arguments"))
    def kwargs(self, obj: OrmQ) -> str:
        """Give the keyword arguments as text."""
        return text_block(_package(obj).get("kwargs"))

    @admin.display(description=_("Queue options"))
    def q_options(self, obj: OrmQ) -> str:
        """Give the options as text."""
        package = _package(obj)
        return text_block({key: package[key] for key in package if key not in _SHOWN_APART})


def _package(obj: Any) -> dict[str, Any]:
    """Look into a row's package, once; {} if it is too long or cannot be seen."""
    if "_seen" not in vars(obj):
        if "head" not in vars(obj):
            load_heads([obj], "payload")
        head = obj.head or ""
        obj._seen = look_into_package(head) if len(head) <= LONGEST else {}
    seen: dict[str, Any] = obj._seen
    return seen


def _task_ids(rows: Iterable[Any]) -> list[str]:
    """Give the ids of the tasks in some packages, as far as they can be seen."""
    found, rows = [], iter(rows)
    while some := list(itertools.islice(rows, _LOOK)):
        load_heads(some, "payload")
        found += [str(_package(row).get("id", "")) for row in some]
    return found


class LedgerAdmin(ReadAdmin):
    """Pages of what went wrong with packages that are not done yet."""

    list_display = ("key", "deaths", "lapses", "short_reason", "updated")
    search_fields = ("key__startswith",)
    search_help_text = _("The beginning of a task id, or of queue and tracking id.")
    ordering = ("key",)
    range_field = "key"

    def is_quick_search(self, request: HttpRequest) -> bool:
        """Tell whether the key of the table finds what is asked for."""
        return bool(request.GET.get("q"))

    @admin.display(description=_("Reason"))
    def short_reason(self, obj: Any) -> str:
        """Give the beginning of the reason."""
        return show(obj.verdict or obj.reason, 200)
