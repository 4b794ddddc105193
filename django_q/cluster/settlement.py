"""Settling: record outcomes, send what follows, acknowledge; in that order.

Used by the clerk for its worker, by the housekeeper for a worker that was killed, and by threads
that run tasks with `atomic`.
"""

import collections
from collections.abc import Callable, Collection, Iterator, Sequence

from django.utils import timezone

from django_q.brokers import Broker, get_broker
from django_q.brokers.partly import taken_before
from django_q.conf import Conf, logger
from django_q.dispatch import dispatch
from django_q.exceptions import BrokerError, PayloadTooLarge, ResultsUnavailable
from django_q.executor import RunVoid
from django_q.followers import again
from django_q.order_options import time_left
from django_q.package import Follower
from django_q.recorder import Record, Stores, followed_entries, record
from django_q.results import ledger, rejected, tracking
from django_q.results.entries import Entry, write_entries
from django_q.results.gatherings import Ready, claimed, complete, keep_parts
from django_q.results.rejected import Rejection


class LeaseLost(RunVoid):
    """The run has no package any more that it could end."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        super().__init__("lost its lease while it ran, so another run has its place")
        #: What was to be written with its end.
        self.entries = entries


class Settlement:
    """Writes outcomes to the books and tells the broker. Used by one thread."""

    def __init__(self, broker: Broker, stores: Stores) -> None:
        self._broker = broker
        self._stores = stores
        self._other_brokers: dict[str, Broker] = {}
        #: What was sent, while the packages it follows are not acknowledged yet.
        self._sent: set[Follower] = set()

    def settle(self, records: Sequence[Record]) -> None:
        """Settle outcomes. Idempotent, so it is called again when it raised; what it sent is sent.

        Raises ResultsUnavailable or BrokerUnavailable; then nothing is lost.
        """
        new = [r for r in records if not r.is_committed]
        done = [r.receipt for r in new if r.acknowledge and r.receipt is not None]

        gatherings = {r.part.gathering for r in records if r.part}
        alias = getattr(self._broker, "alias", None)
        shares = alias == self._stores.database.alias

        def after_rows(others: Collection[str]) -> None:
            nonlocal records
            records = _put_off(records, others)
            self._send_followers(records, is_final=not shares)
            if not shares:
                self._afterwards(lambda: self.send_gathered(gatherings))
            if done:
                self._broker.acknowledge_many(done)
            self._sent.difference_update(_followers(records))

        if new or any(r.entries for r in records):
            record(records, self._stores, after_rows, alias)
        if shares:
            # Only after the commit do two who write the last parts see each other's.
            self._afterwards(lambda: self.send_gathered(gatherings))
        self._send_back([r.receipt for r in records if not r.acknowledge and r.receipt])
        known = [r.ledger_key for r in records if r.ledger_key and r.acknowledge]
        if known:
            self._afterwards(lambda: ledger.forget(known))

    def settle_within(self, done: Record) -> None:
        """Settle one outcome in the caller's transaction; the rest is `settle`'s, once committed.

        Raises RunVoid where another run has the package, or stands in the books.
        """
        if done.receipt is None or not self._broker.acknowledge_held(done.receipt):
            raise LeaseLost(done.entries)
        if done.to_database and done.row and not self._stores.database.keep(done.row):
            raise RunVoid("ran twice, and the success of the other run stands")
        if done.part:
            keep_parts([done.part])
        write_entries([*done.entries, *followed_entries(done.followers)])
        self._send_followers([done], is_final=False)

    def _afterwards(self, work: Callable[[], object]) -> None:
        """Do what the housekeeper does too, later: no reason to settle, and send, all once more."""
        try:
            work()
        except (BrokerError, ResultsUnavailable) as error:
            logger.warning("Left to the housekeeper: %s", error)

    def reject(self, rejection: Rejection) -> None:
        """Keep a package that cannot be opened, then take it away from its broker."""
        rejected.keep(rejection)
        logger.error("A package of %s is rejected: %s", rejection.queue, rejection.reason)
        if rejection.receipt is not None:
            self._broker.fail(rejection.receipt)

    def send_gathered(self, ids: Collection[str] | None = None) -> None:
        """Send what follows those gatherings that are complete now; by default look at all."""
        ready = complete(ids) if ids is None or ids else []
        for gathering in ready:
            with claimed(gathering.id) as is_ours:
                if is_ours:
                    self._send(gathering.queue, [_follower(gathering)], set())

    def _send_followers(self, records: Sequence[Record], *, is_final: bool) -> None:
        """Send what follows and was not sent yet; `is_final`: no transaction takes it back."""
        groups: dict[str, list[Follower]] = {}
        for follower in _followers(records):
            if follower not in self._sent:
                groups.setdefault(follower.queue, []).append(follower)
        for queue, followers in groups.items():
            self._send(queue, followers, self._sent if is_final else set())

    def _send(self, queue: str, followers: Sequence[Follower], sent: set[Follower]) -> None:
        """Send what follows, and note it in `sent`, also what of it is sent before an error.

        What its broker never takes is kept, and holds no outcome up.
        """
        try:
            dispatch(self._broker_of(queue), followers)
            sent.update(followers)
        except Exception as error:  # a broker of one's own raises what its client raises
            taken = set(taken_before(error))
            sent.update(followers[place] for place in taken)
            if not isinstance(error, PayloadTooLarge):
                raise
            if len(followers) > 1:
                for place, follower in enumerate(followers):
                    if place not in taken:
                        self._send(queue, [follower], sent)
                return
            logger.error("What follows a task [%s] is rejected: %s", followers[0].task_id, error)
            rejected.keep(Rejection(queue, followers[0].payload, str(error), None))
            if followers[0].row:
                tracking.forget([followers[0].task_id])

    def _send_back(self, receipts: Sequence[str]) -> None:
        """Let failed tasks that are not acknowledged come back after `retry`."""
        if receipts and self._broker.can_release:
            self._broker.release(receipts, Conf.RETRY, counted=True)

    def _broker_of(self, queue: str) -> Broker:
        if queue in self._broker.queue_names:
            return self._broker.of_queue(queue)
        if queue not in self._other_brokers:
            self._other_brokers[queue] = get_broker(queue)
        return self._other_brokers[queue]


def _put_off(records: Sequence[Record], others: Collection[str]) -> Sequence[Record]:
    """Let what follows those tasks come late of which another run is in the books.

    That one has sent it as well, and both would go on side by side to the end of a chain. It is
    sent all the same: the other run may have been cut off between the books and its broker.
    """
    if not others:
        return records
    lost, result = collections.Counter(others), []
    for done in reversed(records):  # of several runs in one batch the first one stands
        if done.row is not None and lost[done.row.id] > 0:
            lost[done.row.id] -= 1
            took = done.row.stopped - done.row.started
            result.append(done._replace(followers=again(done.followers, took)))
        else:
            result.append(done)
    return result[::-1]


def _followers(records: Sequence[Record]) -> Iterator[Follower]:
    return (follower for record in records for follower in record.followers)


def _follower(ready: Ready) -> Follower:
    delay = time_left({"run_at": ready.run_at}, timezone.now())
    return Follower(ready.queue, ready.payload, delay, ready.priority, ready.id)
