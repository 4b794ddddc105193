"""Pages of what the brokers keep: the ORM broker's queue, the ledger, what was rejected."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.db.models.functions import Substr
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from django_q.admin.looking import LONGEST, look_into_package, show
from django_q.admin.pages import FoundAdmin, ReadAdmin, text_block
from django_q.conf import Conf
from django_q.models import OrmQ
from django_q.package import function_path

_SHOWN_APART = ("id", "name", "group", "func", "args", "kwargs")


def _is_in_use() -> bool:
    return bool(Conf.ORM or Conf.TESTING)


class QueueAdmin(FoundAdmin):
    """Pages of the ORM broker's queue; shown only where that broker is used, or in testing.

    Packages are looked into, never opened: no code of theirs runs in the web server.
    """

    list_display = ("id", "key", "name", "group", "func", "lock", "task_id")
    list_filter = ("key",)
    fields: ClassVar[Any] = (
        *("key", "lock", "deliveries", "task_id", "name", "group", "func"),
        *("args", "kwargs", "q_options"),
    )
    readonly_fields: ClassVar[Any] = fields[2:]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Take the beginning of each package along; a longer one is not shown."""
        rows: QuerySet[Any] = super().get_queryset(request).using(Conf.ORM).defer("payload")
        annotated: QuerySet[Any] = rows.annotate(_head=Substr("payload", 1, LONGEST + 1))
        return annotated

    def save_model(self, request: HttpRequest, obj: OrmQ, form: Any, change: bool) -> None:
        """Save where the broker reads."""
        obj.save(using=Conf.ORM, update_fields=form.changed_data if change else None)

    def delete_model(self, request: HttpRequest, obj: OrmQ) -> None:
        """Delete where the broker reads."""
        obj.delete(using=Conf.ORM)

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
    if "_seen" not in obj.__dict__:
        head = obj._head
        obj._seen = look_into_package(head) if len(head) <= LONGEST else {}
    seen: dict[str, Any] = obj._seen
    return seen


class LedgerAdmin(ReadAdmin):
    """Pages of what went wrong with packages that are not done yet."""

    list_display = ("key", "deaths", "lapses", "short_reason", "updated")
    search_fields = ("key",)
    ordering = ("key",)

    @admin.display(description=_("Reason"))
    def short_reason(self, obj: Any) -> str:
        """Give the beginning of the reason."""
        return show(obj.verdict or obj.reason, 200)


class RejectedAdmin(ReadAdmin):
    """Pages of the packages that could not be opened and never ran."""

    list_display = ("id", "queue", "short_reason", "rejected")
    list_filter = ("queue",)
    ordering = ("-rejected",)
    fields = ("queue", "rejected", "reason", "digest", "shown_payload")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave the payloads where they are, but for their beginnings."""
        rows: QuerySet[Any] = super().get_queryset(request).defer("payload")
        annotated: QuerySet[Any] = rows.annotate(_head=Substr("payload", 1, LONGEST))
        return annotated

    @admin.display(description=_("Reason"))
    def short_reason(self, obj: Any) -> str:
        """Give the beginning of the reason."""
        return show(obj.reason, 200)

    @admin.display(description=_("Payload"))
    def shown_payload(self, obj: Any) -> str:
        """Give the beginning of the payload."""
        return text_block(obj._head)
