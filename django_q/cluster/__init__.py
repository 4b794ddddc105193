"""The processes of one `qcluster`.

The names are found when they are used, so that a spawned child can import its entry before Django
is set up.
"""

from typing import Any

__all__ = ["Cluster", "Sentinel"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from django_q.cluster import cluster

        return getattr(cluster, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
