"""Calls to a broker that may be away: what fails is told, and all wait a little."""

from collections.abc import Callable
from typing import TypeVar

from django_q.cluster.backoff import Backoff
from django_q.conf import logger
from django_q.exceptions import BrokerError

_Given = TypeVar("_Given")


class Patience(Backoff):
    """A back-off shared by all calls of one clerk to its broker."""

    def call(self, call: Callable[[], _Given]) -> _Given | None:
        """Give what the call gives; None when it failed, whatever the broker's client raised."""
        try:
            given = call()
        except Exception as error:  # a broker of one's own raises what its client raises
            pause = self.fail()
            is_known = isinstance(error, BrokerError)
            text = "%s Next try in %.1f s."
            logger.log(self.level, text, error, pause, exc_info=not is_known)
            return None
        if self.succeed():
            logger.info("The broker answers again")
        return given
