"""The classes of one of the two task frameworks, by the names that both use."""

import functools
import importlib
from typing import Any, NamedTuple


class Family(NamedTuple):
    """What a backend takes from its framework: `django.tasks` or `django_tasks`."""

    #: The modules `base` and `signals`.
    base: Any
    signals: Any
    #: Raised for a task that cannot be sent, and for an id nobody knows.
    invalid_task: type[Exception]
    no_result: type[Exception]


@functools.cache
def family(root: str) -> Family:
    """Import the framework of that name. Raises ImportError."""
    exceptions: Any = importlib.import_module(f"{root}.exceptions")
    # The backport's names end in Error.
    invalid = getattr(exceptions, "InvalidTask", None) or exceptions.InvalidTaskError
    return Family(
        importlib.import_module(f"{root}.base"),
        importlib.import_module(f"{root}.signals"),
        invalid,
        exceptions.TaskResultDoesNotExist,
    )
