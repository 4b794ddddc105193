"""What models show in the admin, without importing it: a project may not have it installed."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.urls import NoReverseMatch, reverse
from django.utils.html import escape, format_html

_Method = TypeVar("_Method", bound=Callable[..., Any])


def column(description: Any, *, is_boolean: bool = False) -> Callable[[_Method], _Method]:
    """Give a decorator that says how the admin heads and shows what a method returns.

    As `django.contrib.admin.display`.
    """

    def mark(method: _Method) -> _Method:
        method.__dict__["short_description"] = description
        if is_boolean:
            method.__dict__["boolean"] = True
        return method

    return mark


def link_to_task(task_id: str, name: str, is_success: bool) -> str:
    """Give the HTML of a link to a task's page in the admin; the name alone without an admin."""
    page = f"admin:django_q_{'success' if is_success else 'failure'}_change"
    try:
        return format_html('<a href="{}">[{}]</a>', reverse(page, args=[task_id]), name)
    except NoReverseMatch:
        return escape(name)
