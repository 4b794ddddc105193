"""The errors a caller can catch, as one tree.

DjangoQError
├── ConfigurationError    a setting is wrong (also an ImproperlyConfigured)
├── BrokerError           the broker refused a call
│   ├── BrokerUnavailable the server cannot be reached
│   └── PayloadTooLarge   more bytes than the broker or the settings allow
├── ResultsUnavailable    the database or cache of the results cannot be reached
├── PackageError          a task cannot be packed; nothing was sent
├── DuplicateTask         another task has its key; nothing was sent
├── PackageRejected       a package cannot be opened; it is kept, never run
├── UnreadableValue       a stored argument or result cannot be opened (also a ValueError)
├── TaskFailed            the result that was asked for is a failure
└── TaskNotDone           the result that was asked for is not there yet

TimeoutException stands apart: it is raised inside a task at its soft limit. Retry is raised by a
task itself, to be run again. FailedResult is no exception but stands for one.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.core.exceptions import ImproperlyConfigured, ObjectDoesNotExist


class DjangoQError(Exception):
    """Root of what django_q raises."""


class ConfigurationError(DjangoQError, ImproperlyConfigured):
    """A value of `Q_CLUSTER` is wrong; the text names it and the cure."""


class BrokerError(DjangoQError):
    """The broker answered, and refused."""

    #: Places of those packages of an `enqueue_many` that the broker has in spite of the error.
    taken: Sequence[int] = ()


class BrokerUnavailable(BrokerError):
    """The broker's server cannot be reached; the text names host and port."""


class PayloadTooLarge(BrokerError):
    """A sealed package is larger than its broker takes; nothing was sent."""


class ResultsUnavailable(DjangoQError):
    """The place where results are kept cannot be reached; nothing was saved."""


class PackageError(DjangoQError):
    """A task cannot be packed (unknown function, unpicklable argument); nothing was sent."""


class DuplicateTask(DjangoQError):
    """Another task has the key that a unique one was to take; nothing was sent."""

    def __init__(self, key: str, task_id: str) -> None:
        super().__init__(key, task_id)
        #: The key, and the id of the task that has it.
        self.key, self.task_id = key, task_id

    def __str__(self) -> str:
        return f"The task [{self.task_id}] has the key {self.key!r} and is not over yet."


class PackageRejected(DjangoQError):
    """A package cannot be opened: foreign, damaged, too large or too old. It never runs."""


class UnreadableValue(DjangoQError, ObjectDoesNotExist, ValueError):
    """A stored argument or result cannot be opened: changed, of another key, or refused.

    Raised where a Task is asked for the value. A list of values has it in the value's place. An
    ObjectDoesNotExist and a ValueError, so that a cell or field of an admin page stays empty.
    """

    #: What stands in the column; None where it is not of a row.
    text: str | None = None


class TaskFailed(DjangoQError):
    """The task whose result was asked for has failed; the text is its error with the traceback."""

    def __init__(self, task: Any) -> None:
        super().__init__(task)
        #: The Task, with all that is known of it.
        self.task = task

    def __str__(self) -> str:
        try:
            return str(self.task.result)
        except UnreadableValue as error:
            return str(error)


class TaskNotDone(DjangoQError):
    """The task whose result was asked for has not ended yet, or its result was not kept."""


class TimeoutException(SystemExit):
    """Raised inside a task at its soft time limit.

    A SystemExit, so that the `except Exception` of a task does not swallow it.
    """


class TaskCancelled(SystemExit):
    """Raised inside a task that was cancelled while it ran; a SystemExit for the same reason."""

    def __str__(self) -> str:
        return "The task was cancelled"


class Retry(Exception):
    """Raised by a task to be run again: `raise Retry(delay=60)`.

    `delay` is a number of seconds or a timedelta; without one the task's policy says when. `text`
    goes to the log and to the history of attempts. Each run counts as an attempt.
    """

    def __init__(self, delay: float | timedelta | None = None, text: str = "") -> None:
        super().__init__(delay, text)
        #: Seconds, a timedelta, or None.
        self.delay = delay
        #: Why the task wants to be run again.
        self.text = text

    def __str__(self) -> str:
        return str(self.text) or "the task asked to be run again"


class FailedResult(str):
    """The error text of a task that failed, where the value of one that did not would stand."""
