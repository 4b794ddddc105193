"""How long to wait before the next try, and when a person is told."""

import logging
import random
import time

#: Seconds between two log lines about one trouble.
TOLD_EVERY = 60.0


class Backoff:
    """Doubles from a tenth of a second to a ceiling; a little apart, so that workers spread."""

    #: First pause: a blip is over by then.
    FIRST = 0.1
    #: Longest pause: work goes on within five seconds of a server's return.
    LONGEST = 4.0

    def __init__(self) -> None:
        self._pause = 0.0
        self._until = 0.0
        self._told_at = 0.0
        self._is_news = False

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
        """Level of a log line about the last failure: the first is news, then one a minute.

        So a blip is told at once, and an outage of an hour does not fill the log.
        """
        return logging.ERROR if self._is_news else logging.DEBUG

    def fail(self) -> float:
        """Note a failed try; gives the pause before the next one."""
        now = time.monotonic()
        self._is_news = not self.is_failing or now - self._told_at >= TOLD_EVERY
        if self._is_news:
            self._told_at = now
        self._pause = min(self.LONGEST, self._pause * 2 or self.FIRST)
        pause = self._pause * random.uniform(0.8, 1.2)  # noqa: S311, no secret
        self._until = now + pause
        return pause

    def succeed(self) -> bool:
        """Note a try that worked; True when tries had failed before it."""
        was_failing = self.is_failing
        self._pause = self._until = 0.0
        return was_failing
