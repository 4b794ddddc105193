"""How long to wait before the next try, and when a person is told."""

import logging
import random
import time


class Backoff:
    """Doubles from a tenth of a second to a ceiling; a little apart, so that workers spread."""

    #: First pause: a blip is over by then.
    FIRST = 0.1
    #: Longest pause: work goes on within five seconds of a server's return.
    LONGEST = 4.0

    def __init__(self) -> None:
        self._pause = 0.0
        self._until = 0.0
        self._failures = 0

    @property
    def is_waiting(self) -> bool:
        """The next try has to wait still."""
        return time.monotonic() < self._until

    @property
    def is_failing(self) -> bool:
        """The last try failed."""
        return self._pause > 0

    @property
    def left(self) -> float:
        """Seconds until the next try."""
        return max(0.0, self._until - time.monotonic())

    @property
    def level(self) -> int:
        """Level of a log line about the last failure: the first, second, fourth, eighth is news.

        So a blip is told at once, and an outage of an hour does not fill the log.
        """
        is_news = self._failures & (self._failures - 1) == 0
        return logging.ERROR if is_news else logging.DEBUG

    def fail(self) -> float:
        """Note a failed try; gives the pause before the next one."""
        self._failures += 1
        self._pause = min(self.LONGEST, self._pause * 2 or self.FIRST)
        pause = self._pause * random.uniform(0.8, 1.2)  # noqa: S311, no secret
        self._until = time.monotonic() + pause
        return pause

    def succeed(self) -> bool:
        """Note a try that worked; True when tries had failed before it."""
        was_failing = self.is_failing
        self._pause = self._until = 0.0
        self._failures = 0
        return was_failing
