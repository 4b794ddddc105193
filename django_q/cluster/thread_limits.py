"""Soft limits of tasks in threads: an exception that the interpreter raises in another thread.

Best effort: it comes between two steps of Python code, so a call that waits outside of the
interpreter ends first. The hard limit holds all the same.
"""

import contextlib
import ctypes
import threading
import time
from collections.abc import Iterator
from typing import Any

from django_q.exceptions import TaskCancelled, TimeoutException
from django_q.soft_limit import SoftLimit

_raise_in_thread = ctypes.pythonapi.PyThreadState_SetAsyncExc
_raise_in_thread.argtypes = (ctypes.c_ulong, ctypes.py_object)
_raise_in_thread.restype = ctypes.c_int
#: In the place of an exception: what was to come does not come.
_NOTHING = ctypes.py_object()


class _Guard:
    """One block of code that runs in a thread."""

    __slots__ = ("due", "is_ended", "task_id", "text")

    def __init__(self, due: float, text: str, task_id: str) -> None:
        self.due = due
        self.text = text
        self.task_id = task_id
        #: The exception was sent.
        self.is_ended = False


class ThreadLimits(SoftLimit):
    """The soft limits of all threads of a worker. Others look at the clock: `look`.

    Its main thread does, and its clerk, for the main thread may be busy.
    """

    def __init__(self) -> None:
        super().__init__()
        # Within one process: nobody else can die holding it.
        self._lock = threading.Lock()
        self._guards: dict[int, _Guard] = {}
        self._wishes: set[str] = set()

    @contextlib.contextmanager
    def within(self, limit: float | None, what: str, task_id: str = "") -> Iterator[None]:
        """Guard the block in this thread; see SoftLimit."""
        if limit is None and not task_id:
            yield
            return
        thread = threading.get_ident()
        due = 0.0 if limit is None else time.monotonic() + limit
        guard = _Guard(
            due, f"{what} ran longer than its limit of {limit:g} s" if due else "", task_id
        )
        try:
            with self._lock:
                self._guards[thread] = guard
                if task_id in self._wishes:
                    raise TaskCancelled
            yield
        finally:
            # What was sent and has not come yet must not come after the block.
            with self._lock:
                self._guards.pop(thread, None)
                self._wishes.discard(task_id)
                if guard.is_ended:
                    _raise_in_thread(thread, _NOTHING)

    def cancel(self, task_id: str) -> None:
        """Raise TaskCancelled in the call of this task, or where it begins."""
        with self._lock:
            for thread, guard in self._guards.items():
                if guard.task_id == task_id:
                    self._end(thread, guard, TaskCancelled)
                    return
            self._wishes.add(task_id)

    def forget(self, task_id: str) -> None:
        """Drop a wish for a task that has ended: its next run is another matter."""
        with self._lock:
            self._wishes.discard(task_id)

    def look(self) -> float | None:
        """End what is too late; seconds until the next one is, or None. Called by any thread."""
        now = time.monotonic()
        with self._lock:
            for thread, guard in self._guards.items():
                if 0 < guard.due <= now:
                    self._end(thread, guard, _with_text(TimeoutException, guard.text))
            left = [guard.due - now for guard in self._guards.values() if guard.due > now]
        return min(left, default=None)

    def _end(self, thread: int, guard: _Guard, error: type[BaseException]) -> None:
        if not guard.is_ended:
            guard.is_ended, guard.due = True, 0.0
            _raise_in_thread(thread, ctypes.py_object(error))


def _with_text(kind: type[BaseException], text: str) -> type[BaseException]:
    """Give a class of error whose instances have this text: the interpreter makes it bare."""

    def __init__(self: Any, *args: Any) -> None:
        kind.__init__(self, *args or (text,))

    names = {"__init__": __init__, "__module__": kind.__module__, "__qualname__": kind.__qualname__}
    return type(kind.__name__, (kind,), names)
