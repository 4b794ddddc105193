"""What a task can ask about itself while it runs: `current_task()`.

Set around each call by the executor, in the context of the code that runs: threads and coroutines
that the task starts with a copy of its context see it too.
"""

import contextvars
from datetime import datetime, timedelta
from typing import Any

from django_q.conf import Conf
from django_q.package import TaskPackage
from django_q.policy import run_limit
from django_q.run import Run, make_progress


class CurrentTask:
    """The run of a task, as seen from inside."""

    __slots__ = ("_limit", "_package", "_run", "_started")

    def __init__(
        self,
        package: TaskPackage,
        started: datetime,
        limit: float | None,
        run: Run | None = None,
    ) -> None:
        self._package = package
        self._started = started
        self._limit = limit
        # Nobody follows what runs in place.
        self._run = run

    def __repr__(self) -> str:
        return f"<CurrentTask {self.name} [{self.id}]>"

    @property
    def id(self) -> str:
        """The id that `async_task` gave."""
        return self._package["id"]

    @property
    def name(self) -> str:
        """Its name: four words, or the one that was given."""
        return str(self._package["name"])

    @property
    def group(self) -> str | None:
        """The label it shares with others, or None."""
        return self._package.get("group")

    @property
    def queue(self) -> str:
        """The queue it came from."""
        return str(self._package.get("cluster") or Conf.CLUSTER_NAME)

    @property
    def attempt(self) -> int:
        """Which run this is: 1 for the first."""
        return self._package.get("attempt", 1)

    @property
    def max_attempts(self) -> int:
        """How often a failing task is run at most: 1 where it is not retried."""
        return run_limit(self._package)

    @property
    def started(self) -> datetime:
        """When this run began, with its time zone."""
        return _aware(self._started)

    @property
    def deadline(self) -> datetime | None:
        """When its soft limit ends it, with the time zone; None without a limit."""
        if self._limit is None:
            return None
        return _aware(self._started + timedelta(seconds=self._limit))

    @property
    def cancelled(self) -> bool:
        """Whether somebody wants it to end: an exception ends it, or soon its worker is killed."""
        return self._run is not None and self._run.is_cancelled

    def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        """Say how far it is, as often as you like: it is kept in memory.

        Seen by `task_status` and in the admin within a second or two. Raises ValueError for what is
        no finite number.
        """
        said = make_progress(done, total, text)
        if self._run is not None:
            self._run.progress = said


_running: contextvars.ContextVar[CurrentTask | None] = contextvars.ContextVar(
    "django_q_current_task", default=None
)


def current_task() -> CurrentTask | None:
    """Give the task that this code is run by; None outside of tasks."""
    return _running.get()


def enter(task: CurrentTask) -> contextvars.Token[Any]:
    """Let the code that follows be run by this task, until `leave` is called with the token."""
    return _running.set(task)


def leave(token: contextvars.Token[Any]) -> None:
    """End what `enter` began."""
    _running.reset(token)


def _aware(moment: datetime) -> datetime:
    # Naive ones (USE_TZ = False) are in the time zone of the process, which Django has set.
    return moment if moment.tzinfo else moment.astimezone()
