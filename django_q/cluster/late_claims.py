"""Claims of dead workers that their server carried out after the burial.

A worker may be killed when its claim has left and no answer has come. The server does not know of
the death: it may commit the claim a moment later, when all that the worker had was given back
already. Such leases would lapse after `retry` only.
"""

import math
import time

from django_q.brokers import Broker
from django_q.conf import logger

#: Seconds after a burial to look again: a claim takes some milliseconds, and a server that is in
#: trouble some seconds. What comes later still waits for `retry`.
_LOOKS = (1.0, 5.0)


class LateClaims:
    """Gives back, some seconds after each burial, what the dead worker has leased since."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._moments: dict[str, list[float]] = {}

    def expect(self, holder: str) -> None:
        """Look later for what the broker with this `holder` leases from now on."""
        now = time.monotonic()
        self._moments[holder] = [now + after for after in _LOOKS]

    def look(self) -> None:
        """Give back what is there of those whose moment has come. Raises BrokerError."""
        self._look(time.monotonic())

    def look_last(self) -> None:
        """Give back what is there of all of them: nobody will look any more."""
        self._look(math.inf)

    def _look(self, now: float) -> None:
        for holder, moments in list(self._moments.items()):
            if moments[0] > now:
                continue
            count = self._broker.release_holder(holder)
            if count:
                logger.info("Gave back %d packages that a worker had claimed as it died", count)
            self._moments[holder] = [moment for moment in moments if moment > now]
            if not self._moments[holder]:
                del self._moments[holder]
