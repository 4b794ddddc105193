"""For the tests of a site: `task_queue` keeps what the site enqueues, to look at it and to run it.

No server, no cluster, no threads: tasks run in the test's own thread and transaction.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, NamedTuple

from django_q.brokers import Broker
from django_q.conf import Conf
from django_q.enqueue import run_in_place
from django_q.package import TaskPackage, function_path
from django_q.results import gatherings
from django_q.sealed import open_package


class _Waiting(NamedTuple):
    queue: str
    payload: str
    delay: float
    priority: int

    @property
    def package(self) -> TaskPackage:
        return open_package(self.payload, self.queue)


class TaskQueue:
    """What was enqueued since the block began, oldest first, whatever the queues."""

    def __init__(self, *, eager: bool = False, raises: bool = True) -> None:
        self._is_eager = eager
        self._raises = raises
        self._is_running = False
        self._waiting: list[_Waiting] = []
        self._gatherings: set[str] = set()

    @property
    def tasks(self) -> list[TaskPackage]:
        """The packages that wait, opened: dicts with `func`, `args`, `kwargs` and the options."""
        return [waiting.package for waiting in self._waiting]

    def __len__(self) -> int:
        return len(self._waiting)

    def find(self, func: str | Callable[..., Any]) -> list[TaskPackage]:
        """Give the waiting tasks of a function, or of its dotted path."""
        path = function_path(func)
        return [task for task in self.tasks if function_path(task["func"]) == path]

    def assert_enqueued(self, func: str | Callable[..., Any], *args: Any, **kwargs: Any) -> str:
        """Fail unless a task of this function waits with just these arguments; gives its id."""
        for task in self.find(func):
            if (task["args"], task["kwargs"]) == (args, kwargs):
                return task["id"]
        call = _call(function_path(func), args, kwargs)
        raise AssertionError(f"{call} was not enqueued. {self._told()}")

    def assert_empty(self) -> None:
        """Fail if anything waits."""
        if self._waiting:
            raise AssertionError(f"Nothing should wait. {self._told()}")

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting.clear()

    def drain(self, *, delayed: bool = True, raises: bool | None = None) -> int:
        """Run what waits, and what that enqueues, until nothing does; how many tasks.

        Higher priorities first. With `delayed` also what is held back, after the rest and without
        waiting. Results are recorded as in a cluster. A task that fails has its failed row, and
        raises here, unless `raises` (default: as the queue was made) is False.
        """
        raises = self._raises if raises is None else raises
        done = 0
        while (package := self._take(delayed)) is not None:
            done += 1
            try:
                run_in_place(package)
            except BaseException as error:  # SystemExit of a task is its failure, too
                if raises or isinstance(error, KeyboardInterrupt):
                    raise
        return done

    def keep(self, packages: Iterable[_Waiting]) -> None:
        """Take what a broker was given; run it if tasks are to run at once."""
        self._waiting.extend(packages)
        if not self._is_eager or self._is_running:
            return
        self._is_running = True
        try:
            self.drain()
        finally:
            self._is_running = False

    def _take(self, delayed: bool) -> TaskPackage | None:
        ready = [each for each in self._waiting if delayed or not each.delay]
        if not ready:
            return self._take_gathered()
        # The first of several that are equal.
        chosen = min(ready, key=lambda each: (each.delay, -each.priority))
        self._waiting.remove(chosen)
        package = chosen.package
        if package.get("gather"):
            self._gatherings.add(package["gather"][0])
        return package

    def _take_gathered(self) -> TaskPackage | None:
        """Take what follows parts that have all been run, as a cluster's clerk would send it."""
        for ready in gatherings.complete(self._gatherings) if self._gatherings else []:
            self._gatherings.discard(ready.id)
            gatherings.mark_sent([ready.id])
            return open_package(ready.payload, ready.queue)
        return None

    def _told(self) -> str:
        calls = [_call(function_path(t["func"]), t["args"], t["kwargs"]) for t in self.tasks]
        return "There wait: " + "; ".join(calls) if calls else "Nothing waits."


class TaskQueueBroker(Broker):
    """Hands what it is given to the TaskQueue of the innermost block; lends nothing."""

    can_delay = can_prioritise = True
    is_shared = False
    #: The queues of the blocks that are open, the innermost one last.
    open_queues: ClassVar[list[TaskQueue]] = []

    def enqueue_many(
        self, tasks: Iterable[str], *, delay: float = 0.0, priority: int = 0
    ) -> list[str]:
        """Keep the packages in the innermost TaskQueue."""
        waiting = [_Waiting(self.list_key, payload, delay, priority) for payload in tasks]
        self.open_queues[-1].keep(waiting)
        return [""] * len(waiting)

    def lease(self, limit: int = 1, wait: float = 0.0) -> list[Any]:
        """Lend nothing: `TaskQueue.drain` runs what waits."""
        return []

    def queue_size(self) -> int:
        """Count what waits."""
        return len(self.open_queues[-1])


@contextlib.contextmanager
def task_queue(*, eager: bool = False, raises: bool = True) -> Iterator[TaskQueue]:
    """Let all tasks that are enqueued inside the block go to a TaskQueue of its own.

    With `eager` they run at once, in place, before `async_task` returns. A task that fails raises
    where it is run, after its failed row was written; with `raises=False` it has only the row.
    """
    queue = TaskQueue(eager=eager, raises=raises)
    before = Conf.BROKER_CLASS, Conf.SYNC
    TaskQueueBroker.open_queues.append(queue)
    Conf.BROKER_CLASS, Conf.SYNC = f"{__name__}.{TaskQueueBroker.__name__}", False
    try:
        yield queue
    finally:
        Conf.BROKER_CLASS, Conf.SYNC = before
        TaskQueueBroker.open_queues.remove(queue)


def _call(path: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    given = [*(f"{arg!r:.80}" for arg in args), *(f"{k}={v!r:.80}" for k, v in kwargs.items())]
    return f"{path}({', '.join(given)})"
