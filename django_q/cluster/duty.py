"""A thing that the housekeeper does every so often, whatever becomes of the others."""

import logging
import math
import time
from collections.abc import Callable

from django_q.cluster.backoff import TOLD_EVERY, Backoff
from django_q.conf import logger
from django_q.exceptions import BrokerError, ResultsUnavailable

#: Seconds by which a duty may be early, but no more than half its period. So those that fell out of
#: step, because one had something to do sooner, are done together again after one turn.
_EARLY = 0.25


class News:
    """What a person was told already: a server that is away makes all duties fail."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}

    def is_one(self, error: Exception) -> bool:
        """Tell whether no duty has failed for the same cause lately; this one is told then."""
        now, cause = time.monotonic(), repr(error.__cause__ or error)
        self._told = {text: at for text, at in self._told.items() if now - at < TOLD_EVERY}
        if cause in self._told:
            return False
        self._told[cause] = now
        return True


class Duty:
    """Something done every so often; what fails is tried again after a pause, and told.

    `do` may give the seconds after which it is to be done before its period is over.
    """

    def __init__(
        self, news: News, what: str, period: float, do: Callable[[], float | None]
    ) -> None:
        self._what = what
        self._news = news
        self._period = period
        self._do = do
        self._next = self._earliest = 0.0
        self._backoff = Backoff()
        self._is_told = False

    @property
    def due_in(self) -> float:
        """Seconds until it has to be done; never, by itself, where it has no period."""
        if self._backoff.is_waiting:
            return self._backoff.left
        return max(0.0, self._next - time.monotonic()) if self._period else math.inf

    def do_when_due(self) -> None:
        """Do it, unless it was done or tried too lately."""
        now = time.monotonic()
        if now < self._earliest or self._backoff.is_waiting:
            return
        try:
            due_in = self._do()
        except Exception as error:  # one duty must not end the others; this one is tried again
            pause = self._backoff.fail()
            is_known = isinstance(error, (BrokerError, ResultsUnavailable))
            text = "Housekeeper, %s: %s Next try in %.1f s."
            level = self._backoff.level
            if level > logging.DEBUG and not self._news.is_one(error):
                level = logging.DEBUG
            self._is_told = self._is_told or level > logging.DEBUG
            logger.log(level, text, self._what, error, pause, exc_info=not is_known)
            return
        self._next = now + self._period
        self._earliest = self._next - min(_EARLY, self._period / 2)
        if due_in is not None and due_in < self._period:
            self._next = self._earliest = time.monotonic() + due_in
        if self._backoff.succeed() and self._is_told:
            self._is_told = False
            logger.info("Housekeeper, %s works again", self._what)
