"""The housekeeper's page cache on SQLite: small, unless the project has chosen its size."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.db import ConnectionHandler
from django.db.backends.signals import connection_created

from django_q.cluster import page_cache, roles
from django_q.cluster.page_cache import keep_small


@pytest.fixture(autouse=True)
def small() -> Iterator[None]:
    """As in the housekeeper; not in what comes after."""
    keep_small()
    yield
    connection_created.disconnect(page_cache._make_small)


def _cache_size(folder: Path, **options: Any) -> int:
    """The size of a new connection with these options, in KiB below zero."""
    entry = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(folder / "site.sqlite3"),
        "OPTIONS": options,
    }
    handler = ConnectionHandler({"default": entry})
    with handler["default"].cursor() as cursor:
        (size,) = cursor.execute("PRAGMA cache_size").fetchone()
    handler["default"].close()
    return int(size)


def test_the_cache_of_a_new_connection_is_small(tmp_path: Path) -> None:
    assert _cache_size(tmp_path) == -128


@pytest.mark.parametrize(("role", "is_small"), [("housekeeper", True), ("worker", False)])
def test_only_the_housekeeper_has_small_caches(
    role: str, is_small: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = ("serving_broker", "make_stores", "Housekeeper", "Clerk", "Worker", "ConcurrentWorker")
    for name in ("configure_logging", "connections", "set_title", "Settlement", *parts):
        monkeypatch.setattr(roles, name, mock.Mock())
    asked = mock.Mock()
    monkeypatch.setattr(roles, "keep_small", asked)

    roles.make(mock.Mock(role=role))

    assert asked.called is is_small


def test_other_commands_of_the_project_leave_it_small(tmp_path: Path) -> None:
    assert _cache_size(tmp_path, init_command="PRAGMA journal_mode=WAL") == -128


@pytest.mark.parametrize("size", [-20_000, -2000, 500])
def test_a_size_that_the_project_has_chosen_stays(tmp_path: Path, size: int) -> None:
    assert _cache_size(tmp_path, init_command=f"pragma CACHE_SIZE = {size}") == size


def test_a_size_that_a_receiver_has_set_stays(tmp_path: Path) -> None:
    def set_size(connection: Any, **more: Any) -> None:
        connection.connection.execute("PRAGMA cache_size = -4000")

    # As an app does when it is ready, which is before the housekeeper's own.
    connection_created.disconnect(page_cache._make_small)
    connection_created.connect(set_size)
    keep_small()
    try:
        assert _cache_size(tmp_path) == -4000
    finally:
        connection_created.disconnect(set_size)
