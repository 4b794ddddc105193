"""The option `atomic`: what cannot go with it, told to who sends such a task and to who runs it.

Checks only; `cluster.effects` does the work, and `dispatch` looks at the broker.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from django_q.conf import Conf
from django_q.exceptions import PackageError

#: Ends what is said of a function that is no plain one.
PLAIN = (
    "asynchronous code has database connections of its own, outside the transaction. Write the "
    "task as a plain function, which may call asynchronous code by asgiref's async_to_sync; or "
    "give it atomic=False."
)


def check_effect(package: Mapping[str, Any], func: Any = None) -> None:
    """Raise PackageError for an `atomic` that cannot be kept; `func` is what will be called."""
    wanted = package.get("atomic")
    if not isinstance(wanted, bool | None):
        raise PackageError(f"atomic is {wanted!r:.100}: give True or False.")
    if not wanted:
        return
    # Without a cache every result goes to the database.
    cached = package.get("cached", Conf.CACHED)
    if cached and Conf.CACHE:
        raise PackageError(
            f"atomic is True, but cached is {cached!r:.100}: a result in the cache is "
            "outside the transaction. Leave one of them out, or say cached=False."
        )
    if Conf.LEGACY == "write":
        raise PackageError(
            "atomic is True, but Q_CLUSTER[\"legacy\"] is 'write', and a cluster of django-q2 runs "
            "tasks without it. Leave it out until all clusters are of this release."
        )
    if inspect.iscoroutinefunction(inspect.unwrap(func) if callable(func) else func):
        name = getattr(func, "__qualname__", repr(func))
        raise PackageError(f"atomic is True, but {name} is an async function: {PLAIN}")
