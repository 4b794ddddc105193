"""Signpost to the commands that look at clusters, for code that called Django Q's functions."""

from typing import Any

from django.core.management import call_command

from django_q.exceptions import DjangoQError

__all__ = ["get_ids", "info", "memory", "monitor"]


def monitor(run_once: bool = False, broker: Any = None) -> None:
    """Show the clusters in this terminal, as `manage.py qmonitor` does."""
    if hasattr(run_once, "get"):
        raise DjangoQError(
            "django_q.monitor.monitor got a queue: the process that django-q2 had under this name "
            "is gone, workers save their results themselves. See Upgrading in the documentation."
        )
    call_command("qmonitor", run_once=run_once)


def info(broker: Any = None) -> None:
    """Print how things stand, as `manage.py qinfo` does."""
    call_command("qinfo")


def memory(run_once: bool = False, workers: bool = False, broker: Any = None) -> None:
    """Show what memory the clusters use, as `manage.py qmemory` does."""
    call_command("qmemory", run_once=run_once, workers=workers)


def get_ids() -> bool:
    """Print the ids of the running clusters, as `manage.py qinfo --ids` does; gives True."""
    call_command("qinfo", ids=True)
    return True
