"""What a worker with several places runs tasks on: threads, and an event loop.

Neither touches slot, journal or inbox: those are the main thread's, which hears from them by its
agenda, a queue of things to do.
"""

import asyncio
import functools
import os
import queue
import threading
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, NamedTuple

from django.utils import timezone

from django_q.conf import logger
from django_q.coroutines import execute_coroutine
from django_q.exceptions import TaskCancelled
from django_q.executor import failure
from django_q.package import Outcome
from django_q.run import Run

#: Something the main thread is to do; None: look whether there is.
Deed = Callable[[], None] | None
Agenda = queue.SimpleQueue[Deed]

#: Time that what a task has left behind on the loop gets to end when its worker leaves.
_FAREWELL = 1.0


class Threads:
    """So many threads that do what they are given; each gives what the main thread does next.

    Signals are not blocked in them, since what they start would inherit that. The kernel prefers
    the main thread, and handlers run there in any case.
    """

    def __init__(self, count: int, agenda: Agenda, name: str = "runner") -> None:
        self._agenda = agenda
        self._waiting: queue.SimpleQueue[Callable[[], Deed] | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True)
            for number in range(1, count + 1)
        ]

    def start(self) -> None:
        """Start all of them."""
        for thread in self._threads:
            thread.start()

    def submit(self, do: Callable[[], Deed]) -> None:
        """Have this done by a thread, and then what it gives by the main thread."""
        self._waiting.put(do)

    def close(self) -> None:
        """End the threads; nothing is under way."""
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (do := self._waiting.get()) is not None:
            try:
                deed = do()
            except BaseException as error:  # a defect: it ends the worker, as it would without us
                deed = functools.partial(_raise, error)
            self._agenda.put(deed)


class Ending(NamedTuple):
    """What is called once a coroutine has ended."""

    #: In the loop's thread.
    at_once: Callable[[], None]
    #: In the main thread, with the outcome.
    then: Callable[[Outcome], None]


class Loop:
    """One event loop for the life of a worker, in a thread of its own.

    Not in the main thread: Django refuses its database to a thread that runs a loop, and what is
    not a coroutine would hold it up.
    """

    def __init__(self, agenda: Agenda) -> None:
        self._agenda = agenda
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._work, name="loop", daemon=True)
        self._is_closing = False
        self._pid = os.getpid()
        # A loop keeps weak references only.
        self._tasks: dict[str, asyncio.Task[Outcome]] = {}

    def start(self) -> None:
        """Start its thread."""
        self._thread.start()

    def submit(self, func: Callable[..., Any], run: Run, ending: Ending) -> None:
        """Run a coroutine function; the main thread is given its outcome."""
        started = timezone.now()
        self._loop.call_soon_threadsafe(self._begin, func, run, started, ending)

    def cancel(self, task_id: str) -> None:
        """Cancel a coroutine at its next await. Called by any thread."""
        self._loop.call_soon_threadsafe(self._cancel, task_id)

    def close(self) -> None:
        """End the loop, with what tasks have left on it."""
        self._is_closing = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(2 * _FAREWELL)

    # -- in its thread ------------------------------------------------------------------------

    def _work(self) -> None:
        asyncio.set_event_loop(self._loop)
        while not self._is_closing:
            try:
                self._loop.run_forever()
            except BaseException:  # SystemExit in a callback of user code goes through a loop
                logger.exception("Code on the event loop raised")
        leftover = asyncio.all_tasks(self._loop)
        for task in leftover:
            task.cancel()
        if leftover:
            self._loop.run_until_complete(asyncio.wait(leftover, timeout=_FAREWELL))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _begin(
        self, func: Callable[..., Any], run: Run, started: datetime,
        ending: Ending,
    ) -> None:  # fmt: skip
        coroutine: Coroutine[Any, Any, Outcome] = execute_coroutine(func, run.package, run)
        task = self._loop.create_task(coroutine)
        self._tasks[run.id] = task
        task.add_done_callback(functools.partial(self._end, run, started, ending))

    def _end(
        self, run: Run, started: datetime, ending: Ending, task: asyncio.Task[Outcome],
    ) -> None:  # fmt: skip
        if os.getpid() != self._pid:
            os._exit(0)  # the task has forked, and this is the child, come back by oversight
        self._tasks.pop(run.id, None)
        try:
            outcome = task.result()
        except BaseException as error:  # cancelled before it had begun: by us, or by other code
            cause = TaskCancelled() if run.is_cancelled else error
            outcome = failure(run.package, started, cause)
        ending.at_once()
        self._agenda.put(functools.partial(ending.then, outcome))

    def _cancel(self, task_id: str) -> None:
        task = self._tasks.get(task_id)
        if task is not None:
            task.cancel()


def _raise(error: BaseException) -> None:
    raise error
