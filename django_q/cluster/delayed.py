"""Hands on packages whose time has come: those that the broker could not hold back itself.

Used by the housekeeper, for all queues of its cluster. A package is claimed, handed to the broker
and forgotten in one transaction, so that of several clusters one does it. A housekeeper that is
killed between the second and the third leaves one that is sent again: it is marked, so that a
worker looks whether it is done already. Of a batch that its broker took in part, that part is
forgotten.
"""

import math
import time
from collections.abc import Sequence

from django.db import connections, router, transaction
from django.utils import timezone

from django_q.brokers import Broker
from django_q.brokers.partly import taken_before
from django_q.conf import logger
from django_q.dispatch import dispatch
from django_q.exceptions import BrokerError, PayloadTooLarge
from django_q.models import Delayed
from django_q.package import Follower
from django_q.results.looks import Look, Together
from django_q.results.rejected import Rejection, keep
from django_q.results.trouble import told

#: Time one pass may take: the housekeeper has other duties, some of them every tenth of a second.
_LONGEST_PASS = 0.5
#: Packages in one transaction: some hundred fill a round trip.
_BATCH = 200
_CANNOT = "Delayed packages cannot be handed on"


class DelayedPackages:
    """The delayed packages of one cluster's queues. Used by one thread."""

    def __init__(self, broker: Broker, together: Together | None = None) -> None:
        self._broker = broker
        self._alias: str = router.db_for_write(Delayed)
        which = "WHERE {queue} = %s ORDER BY {due}"
        self._looks = {
            queue: Look(Delayed, "due", which, [queue], together) for queue in broker.queue_names
        }

    def look(self) -> float:
        """Hand on what is due; the seconds until more is, as far as that is known.

        Where nothing is, that is one query a queue, or one for all that stands `together`. Raises
        BrokerError and ResultsUnavailable; nothing is lost then.
        """
        pause = math.inf
        errors: list[BrokerError] = []
        for queue in self._broker.queue_names:
            try:
                pause = min(pause, self._look_at(queue))
            except BrokerError as error:  # the other queues may be well
                errors.append(error)
        if errors:
            raise errors[0]
        return max(0.0, pause)

    def _look_at(self, queue: str) -> float:
        """Hand on what is due in a queue; the seconds until more is."""
        wait = self._due_in(queue)
        end = time.monotonic() + _LONGEST_PASS / len(self._broker.queue_names)
        while wait <= 0 and time.monotonic() < end:
            if self._hand_on(queue, _BATCH) < _BATCH:
                # What is due still, another cluster has in its hands.
                wait = max(0.0, self._due_in(queue)) or math.inf
        return wait

    def _due_in(self, queue: str) -> float:
        """Give the seconds until the first package of a queue is due."""
        with told(self._alias, _CANNOT):
            first = self._looks[queue].value()
        return math.inf if first is None else (first - timezone.now()).total_seconds()

    def _hand_on(self, queue: str, most: int) -> int:
        """Send what is due, up to so many packages; how many."""
        claimed: list[Delayed] = []
        trouble: Exception | None = None
        try:
            with told(self._alias, _CANNOT), transaction.atomic(using=self._alias):
                claimed = self._claim(queue, most)
                trouble = self._send(self._broker.of_queue(queue), claimed)
            if trouble is not None:
                raise trouble
        except PayloadTooLarge as error:
            if len(claimed) > 1:
                return sum(self._hand_on(queue, 1) for _ in claimed)
            self._reject(claimed[0], error)
        return len(claimed)

    def _send(self, broker: Broker, claimed: list[Delayed]) -> Exception | None:
        """Send, and forget what the broker has; gives the error of one that went away half-way.

        Raises it where nothing is to be forgotten: what was sent goes back with the transaction.
        """
        trouble, sent = None, claimed
        try:
            dispatch(broker, [_follower(row) for row in claimed])
        except Exception as error:  # a broker of one's own raises what its client raises
            sent = [claimed[place] for place in taken_before(error)]
            if not sent or getattr(broker, "alias", None) == self._alias:
                raise
            trouble = error
        self._forget(sent)
        return trouble

    def _claim(self, queue: str, most: int) -> list[Delayed]:
        rows = Delayed.objects.using(self._alias)
        features = connections[self._alias].features
        due = rows.filter(queue=queue, due__lte=timezone.now()).order_by("due", "pk")
        if features.has_select_for_update:
            # Another cluster may be waiting for its broker.
            due = due.select_for_update(skip_locked=features.has_select_for_update_skip_locked)
        else:
            # SQLite: who reads first cannot write once somebody else has written.
            rows.filter(pk=0).update(priority=0)
        return list(due[:most])

    def _forget(self, rows: Sequence[Delayed]) -> None:
        if rows:
            Delayed.objects.using(self._alias).filter(pk__in=[row.pk for row in rows]).delete()

    def _reject(self, row: Delayed, error: PayloadTooLarge) -> None:
        """Keep what the broker will never take, where a person can look at it."""
        logger.error("A delayed package [%s] of %s is rejected: %s", row.task, row.queue, error)
        keep(Rejection(row.queue, row.payload, str(error), None))
        with told(self._alias, _CANNOT):
            self._forget([row])


def _follower(row: Delayed) -> Follower:
    return Follower(row.queue, row.payload, 0.0, row.priority, row.task)
