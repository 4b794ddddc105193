"""What is said not to exist yet does not exist, and all that is missing is told."""

import dataclasses
import importlib
import importlib.util
import re
from collections.abc import Callable

import pytest
from django.core.management import get_commands

from django_q.conf import Settings

from . import pages


def _module(path: str) -> Callable[[], bool]:
    return lambda: importlib.util.find_spec(path) is not None


def _name(module: str, name: str) -> Callable[[], bool]:
    return lambda: hasattr(importlib.import_module(module), name)


def _command(name: str) -> Callable[[], bool]:
    return lambda: name in get_commands()


def _setting(name: str) -> Callable[[], bool]:
    return lambda: name in {field.name for field in dataclasses.fields(Settings)}


#: A part of Django Q, by the words that name it -> whether it is there.
PARTS: dict[str, Callable[[], bool]] = {
    "SQS": _module("django_q.brokers.aws_sqs"),
    "Disque": _module("django_q.brokers.disque"),
    "IronMQ": _module("django_q.brokers.ironmq"),
    "schedules": _module("django_q.scheduler"),
    "chains": _name("django_q.tasks", "async_chain"),
    "async_iter": _name("django_q.tasks", "async_iter"),
    "AsyncTask": _name("django_q.tasks", "AsyncTask"),
    "qmonitor": _command("qmonitor"),
    "qmemory": _command("qmemory"),
    "retries": _setting("retry_delay"),
    "error reporters": _name("django_q.conf", "error_reporter"),
    "django.tasks": _module("django_q.backend"),
}


def _told(page: str, start: str, end: str) -> set[str]:
    text = (pages.ROOT / page).read_text("utf-8")
    section = re.search(rf"(?:{start})(.*?)(?:{end})", text, re.DOTALL)
    assert section is not None
    words = " ".join(section[1].split())
    return {part for part in PARTS if part in words}


@pytest.mark.parametrize(
    ("page", "start", "end"),
    [
        ("README.md", "## Not yet\n", r"MongoDB|\n## "),
        ("CHANGELOG.md", "### Not yet\n", r"\n## |\Z"),
        ("docs/upgrading.rst", r"\.\. warning::\n", "Do not upgrade"),
    ],
)
def test_what_is_missing_is_told_and_nothing_else(page: str, start: str, end: str) -> None:
    missing = {part for part, is_there in PARTS.items() if not is_there()}

    assert _told(page, start, end) == missing
