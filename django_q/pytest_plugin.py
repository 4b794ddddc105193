"""A plugin of pytest: the fixtures `task_queue` and `eager_tasks` for the tests of a site.

pytest loads it when it starts, before Django is set up: what it needs is imported when it is used.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from django.utils.module_loading import import_string

_TASK_QUEUE = "django_q.testing.task_queue"


@pytest.fixture
def task_queue() -> Iterator[Any]:
    """The TaskQueue that takes all the test enqueues."""
    with import_string(_TASK_QUEUE)() as queue:
        yield queue


@pytest.fixture
def eager_tasks() -> Iterator[Any]:
    """As `task_queue`, but tasks run at once, in place; one that fails has its failed row only."""
    with import_string(_TASK_QUEUE)(eager=True, raises=False) as queue:
        yield queue
