"""The exception that ends the call of a task: at its time limit, or when it was cancelled.

One for each main thread that runs tasks. It is raised by SIGALRM, and only while the guarded code
is on the stack. What is done beside a task (opening, hooks, receivers) has limits by it too.
"""

import contextlib
import signal
import sys
import threading
import time
import types
from typing import Any

from django_q.exceptions import TaskCancelled, TimeoutException

#: Seconds by which an alarm may come before its time and still be the timer's: clocks are read
#: one after the other. Another one was meant for a task that has ended.
_EARLY = 0.01

#: Windows has none: there the hard limit is the only one.
_HAS_ALARM = hasattr(signal, "setitimer")
_NOTHING = contextlib.nullcontext()
# What `signal` is made of. Itself, it tries to make a member of an enum of each answer: to find
# that our handler is none cost 1.7 us, nearly as much as all the rest of a limit.
_core: Any = sys.modules.get("_signal", signal)


class SoftLimit:
    """Raises TimeoutException in the main thread when code runs too long; TaskCancelled on demand.

    Uses SIGALRM and the real-time timer of this process, one limit at a time.
    """

    def __init__(self) -> None:
        #: What is guarded, or was last: seconds, words for it, and the task whose call it is.
        self._limit: float | None = None
        self._what = self._call = ""
        #: When the time is over (monotonic); 0 without a limit.
        self._due = 0.0
        #: The task whose call is on the stack, and the one that was cancelled last.
        self._guarded = ""
        self._cancelled = ""
        self._handler = self._on_alarm
        self._is_installed = False
        #: How many modules there were when the signal was seen to be ours. A task's call follows
        #: its opening, which has looked; only what was imported since can have taken it.
        self._modules = 0

    def within(
        self, limit: float | None, what: str, task_id: str = ""
    ) -> contextlib.AbstractContextManager[Any]:
        """Guard the block; `limit` in seconds, None for none. `what` begins the error's text.

        With the id of a task the block is its call, which `cancel` ends.
        """
        if (limit is None and not task_id) or not _HAS_ALARM:
            return _NOTHING
        self._limit, self._what, self._call = limit, what, task_id
        # One limit at a time, and many a second: no object is made for each.
        return self

    def __enter__(self) -> None:
        try:
            if not self._is_installed:
                signal.signal(signal.SIGALRM, self._handler)
                self._is_installed = True
            # In this order: a wish that comes in between is seen by one of the two.
            self._guarded = self._call
            if self._call and self._cancelled == self._call:
                raise TaskCancelled
            if not self._call or self._modules != len(sys.modules):
                self._take_back()
            if self._limit is not None:
                self._due = time.monotonic() + self._limit
                signal.setitimer(signal.ITIMER_REAL, max(self._limit, 1e-6))
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *error: object) -> None:
        if self._call:
            self._modules = 0
        self._guarded = ""
        self._due = 0.0
        if self._limit is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def cancel(self, task_id: str) -> None:
        """Raise TaskCancelled in the call of this task, or where it begins. Called by any thread.

        It does not come where a task has taken the signal for itself.
        """
        self._cancelled = task_id
        if not _HAS_ALARM:
            return
        is_ours = signal.getsignal(signal.SIGALRM) == self._handler
        if is_ours and self._guarded == task_id:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)

    def _take_back(self) -> None:
        """Undo what a task did that took the handler for itself, or blocked the signal."""
        # Looking is cheaper than setting both each time (measured: 2 us instead of 11 for the whole
        # limit), and still too dear for what has no limit: there `cancel` looks.
        if _core.getsignal(signal.SIGALRM) != self._handler:
            signal.signal(signal.SIGALRM, self._handler)
        if signal.SIGALRM in _core.pthread_sigmask(signal.SIG_BLOCK, ()):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
        self._modules = len(sys.modules)

    def _on_alarm(self, number: int, frame: types.FrameType | None) -> None:
        if self._guarded and self._guarded == self._cancelled:
            # Before it raises: where the block is just being left, nothing else would.
            self._guarded, self._due = "", 0.0
            raise TaskCancelled
        if not self._due:
            return
        left = self._due - time.monotonic()
        if left > _EARLY:
            signal.setitimer(signal.ITIMER_REAL, left)
            return
        self._due = 0.0
        raise TimeoutException(f"{self._what} ran longer than its limit of {self._limit:g} s")


class NoLimit(SoftLimit):
    """For tasks that run in place: their process has its own use for SIGALRM."""

    def within(
        self, limit: float | None, what: str, task_id: str = ""
    ) -> contextlib.AbstractContextManager[Any]:
        """Guard nothing."""
        return _NOTHING
