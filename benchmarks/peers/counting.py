"""How the peers are looked at, where they have no call for it."""

import functools
import importlib
from typing import Any

from django.db import connection

from benchmarks.scene import Scene


def rows(condition: str) -> int:
    """How many rows there are: `condition` is a table, and perhaps a WHERE."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {condition}")  # noqa: S608
        (count,) = cursor.fetchone()
    return int(count)


def keys(pattern: str) -> int:
    """How many keys of Redis have such a name."""
    return sum(1 for _ in redis_client().scan_iter(pattern, count=10_000))


@functools.cache
def redis_client() -> Any:
    """A client of redis-py, which not all environments have."""
    return importlib.import_module("redis").Redis.from_url(Scene.here().url)
