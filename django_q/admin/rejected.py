"""Pages of the packages that never ran, and the action that lets them in again."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.auth import get_permission_codename
from django.db.models import QuerySet
from django.db.models.functions import Length, Substr
from django.http import HttpRequest
from django.utils.formats import number_format

from django_q.admin import acting
from django_q.admin.looking import LONGEST, look_into_package
from django_q.admin.pages import FoundAdmin, moment_text, text_block
from django_q.admin.results import tell
from django_q.admin.showing import fold, show
from django_q.models import Rejected
from django_q.texts import gettext, ngettext
from django_q.texts import gettext_lazy as _


class RejectedAdmin(FoundAdmin):
    """Pages of the packages that could not be opened and never ran.

    They are looked into, never opened, and can be put back into their queue or deleted.
    """

    list_display = ("id", "queue", "short_reason", "shown_rejected")
    list_display_links = ("id", "short_reason")
    list_filter = ("queue", "rejected")
    search_fields = ("reason",)
    ordering = ("-rejected",)
    range_field = "-rejected"
    actions = ("requeue",)
    buttons: ClassVar[dict[str, Any]] = {"requeue": _("Requeue")}
    fields = ("reason", "queue", "shown_rejected", "package", "shown_payload", "digest")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave the payloads where they are, but for their beginnings on the page of one."""
        rows: QuerySet[Any] = super().get_queryset(request).defer("payload")
        return rows

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let nobody change a package."""
        return False

    def has_requeue_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may put packages back: a permission of its own."""
        codename = get_permission_codename("requeue", self.opts)
        may: bool = request.user.has_perm(f"{self.opts.app_label}.{codename}")
        return may

    @admin.action(description=_("Requeue selected packages"), permissions=["requeue"])
    def requeue(self, request: HttpRequest, queryset: QuerySet[Rejected]) -> None:
        """Put packages back into their queues, for a cause that was mended."""
        done = acting.requeue(queryset)
        acting.log(done, request.user.pk, gettext("Requeued."))
        number = len(done.rows)
        text = ngettext("%d package was requeued.", "%d packages were requeued.", number) % number
        tell(self, request, done, text)

    @admin.display(description=_("Reason"), ordering="reason")
    def short_reason(self, obj: Any) -> str:
        """Give the beginning of the reason."""
        return show(obj.reason, 200)

    @admin.display(description=_("Rejected"), ordering="rejected")
    def shown_rejected(self, obj: Any) -> str:
        """Give when it was rejected, to the second."""
        return moment_text(obj.rejected)

    @admin.display(description=_("Package"))
    def package(self, obj: Any) -> str:
        """Give what can be seen of the package; its signature is not checked."""
        head, length = _head(obj)
        seen = look_into_package(head) if length <= LONGEST else {}
        return text_block(seen) if seen else gettext("It cannot be looked into.")

    @admin.display(description=_("Payload"))
    def shown_payload(self, obj: Any) -> str:
        """Give the beginning of the payload, folded."""
        head, length = _head(obj)
        title = ngettext("%(number)s character", "%(number)s characters", length)
        return fold(title % {"number": number_format(length)}, head)


def _head(obj: Any) -> tuple[str, int]:
    """Give the beginning of a package and its whole length."""
    if "_head" not in obj.__dict__:
        row = Rejected.objects.using(obj._state.db).filter(pk=obj.pk)
        obj._head = row.values_list(Substr("payload", 1, LONGEST), Length("payload")).get()
    head: tuple[str, int] = obj._head
    return head
