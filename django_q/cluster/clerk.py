"""The clerk: a worker's I/O thread. Leases, renews, gives back, settles. Runs only our code.

Beside it the main thread takes leases from `inbox` and hands over outcomes. Duties, each round:

1. leave, with all work given back, when the supervisor is gone;
2. settle what the main thread finished: at once when it waits, else in batches;
3. renew leases at a third of their time;
4. give back what waits behind a slow task, and all of it when the cluster stops;
5. lease more while there is room, blocking only when the main thread is idle.
"""

import collections
import multiprocessing.connection
import os
import queue
import signal
import threading
import time

from django_q.brokers import Broker, Lease
from django_q.cluster.backoff import Backoff
from django_q.cluster.outbox import Finished, Outbox
from django_q.cluster.room import Room
from django_q.cluster.scoreboard import Holdings, Scoreboard, Slot
from django_q.cluster.settlement import Settlement
from django_q.conf import Conf, logger
from django_q.exceptions import BrokerError
from django_q.results.ledger import package_key

#: What waits this long behind one task is given back.
_LONGEST_WAIT = 1.0
#: Pause before a busy worker asks an empty queue again; an idle one waits on the server.
_EMPTY_PAUSE = 0.02
#: Longest pause of a round: the beat of the slot, and the look at the supervisor's pipe.
_LONGEST_PAUSE = 0.25
#: Exit status of a worker whose clerk failed: a defect of ours (EX_SOFTWARE of sysexits.h).
EXIT_CLERK_FAILED = 70


class Clerk(threading.Thread):
    """Carries packages in and outcomes out for one worker."""

    def __init__(
        self,
        broker: Broker,
        settlement: Settlement,
        board: Scoreboard,
        slot: Slot,
        life: multiprocessing.connection.Connection,
    ) -> None:
        super().__init__(name="clerk", daemon=True)
        self.inbox: queue.SimpleQueue[Lease | None] = queue.SimpleQueue()
        #: Since when the main thread is at its package (monotonic); 0 while it is idle.
        self.busy_since = 0.0
        #: The main thread wakes the clerk when it finds no more than so many leases waiting.
        self.low_water = 0
        self._broker = broker
        self._board = board
        self._slot = slot
        self._life = life
        self._held: dict[str, Lease] = {}
        self._returned: collections.deque[tuple[Lease, float]] = collections.deque()
        self._outbox = Outbox(settlement, slot.journal)
        self._room = Room(broker)
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._is_woken = False
        self._is_stopping = False
        self._main_has_left = False
        self._lease_backoff = Backoff()
        self._next_renewal = time.monotonic() + Conf.RETRY / 3
        self._ask_again = 0.0

    # -- called by the main thread ------------------------------------------------------------

    def hand_over(self, finished: Finished) -> None:
        """Take an outcome; it is settled soon."""
        if self._outbox.add(finished) or self.inbox.empty():
            self.wake()

    def wake(self) -> None:
        """Begin the next round now. Safe in a signal handler."""
        if not self._is_woken:
            self._is_woken = True
            self._wake.put(None)

    def stop(self) -> None:
        """Lease no more and give back what waits. Safe in a signal handler."""
        self._is_stopping = True
        self.wake()

    def finish(self) -> None:
        """Settle what is left and end the thread; the main thread has left its loop."""
        self._is_stopping = self._main_has_left = True
        self.wake()
        self.join()

    def give_back(self, lease: Lease, delay: float = 0.0) -> None:
        """Give a lease back that the main thread took and did not start."""
        self._returned.append((lease, delay))
        self.wake()

    # -- the rounds ---------------------------------------------------------------------------

    def run(self) -> None:
        """Go round until the main thread has left. A defect of ours ends the whole worker."""
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            while not self._round():
                pass
        except BaseException:  # the main thread would wait for ever; the housekeeper recovers all
            logger.critical("The clerk failed; its worker ends", exc_info=True)
            os._exit(EXIT_CLERK_FAILED)

    def _round(self) -> bool:
        """Do the duties once; True when the thread is to end."""
        self._is_woken = False
        now = time.monotonic()
        self._slot.beat = now
        if self._life.poll():
            self._abandon()
        if self._board.is_stopping:
            self._is_stopping = True
        if self._outbox and (self._is_stopping or self.inbox.empty() or self._outbox.is_due(now)):
            self._settle()
        self._renew_due(now)
        self._give_back_returned()
        if self._is_stopping:
            self._give_back_waiting()
            if self._main_has_left and not self._outbox:
                return True
        elif self._lease_more(now):
            return False
        self._pause(now)
        return False

    def _pause(self, now: float) -> None:
        pause = _LONGEST_PAUSE
        if self._outbox:
            pause = min(pause, self._outbox.due_in(now))
        if self._lease_backoff.is_waiting:
            pause = min(pause, self._lease_backoff.left)
        elif self._ask_again > now and self.inbox.qsize() <= self.low_water:
            pause = min(pause, self._ask_again - now)
        try:
            self._wake.get(timeout=max(pause, 0.001))
        except queue.Empty:
            pass

    def _settle(self) -> None:
        for receipt in self._outbox.settle():
            self._held.pop(receipt, None)

    # -- leasing ------------------------------------------------------------------------------

    def _lease_more(self, now: float) -> bool:
        """Lease what there is room for; True when something came."""
        busy_since, waiting = self.busy_since, self.inbox.qsize()
        if self._lease_backoff.is_waiting or (busy_since and now < self._ask_again):
            return False
        busy_for = now - busy_since if busy_since else 0.0
        wanted = self._room.wanted(waiting, len(self._held), busy_for)
        if wanted <= 0:
            return False
        # Read after busy_since: an outcome is in the outbox before the main thread says idle.
        is_idle = not busy_since and not waiting and not self._outbox
        wanted = min(wanted, self._broker.max_lease or wanted)
        leases = self._ask(wanted, self._broker.idle_wait if is_idle else 0.0)
        self._room.leased(wanted, len(leases))
        self.low_water = self._room.low_water
        if not leases:
            self._ask_again = time.monotonic() + _EMPTY_PAUSE
            return is_idle and not self._lease_backoff.is_waiting
        self._take_in(leases)
        return True

    def _ask(self, wanted: int, wait: float) -> list[Lease]:
        asked = time.monotonic()
        try:
            leases = self._broker.lease(wanted, wait)
        except BrokerError as error:
            self._broker_failed(error)
            return []
        if self._lease_backoff.succeed():
            logger.info("The broker answers again")
        if not leases and wait and time.monotonic() - asked < _EMPTY_PAUSE:
            time.sleep(Conf.POLL)  # a broker of one's own that does not wait
        for lease in leases:
            lease.until = asked + Conf.RETRY
            lease.key = package_key(self._broker.list_key, lease.id, lease.payload)
            lease.recall = self._slot.get("recall")
        return leases

    def _take_in(self, leases: list[Lease]) -> None:
        """Say on the scoreboard what is held, then let the main thread have it."""
        self._held |= {lease.receipt: lease for lease in leases if lease.receipt is not None}
        while not self._write_holdings():
            # What the slot cannot hold would wait for `retry` after a death: it is not kept.
            extra = leases[len(leases) // 2 :]
            leases = leases[: len(leases) // 2]
            self._give_back(extra)
            if not leases:
                break
        for lease in leases:
            self.inbox.put(lease)

    def _write_holdings(self) -> bool:
        return self._slot.write_holdings(Holdings(self._broker.holder, tuple(self._held)))

    def _renew_due(self, now: float) -> None:
        if now < self._next_renewal or not self._broker.can_renew or not self._held:
            return
        receipts = list(self._held)
        try:
            valid = self._broker.renew(receipts)
        except BrokerError as error:
            self._next_renewal = now + min(1.0, Conf.RETRY / 6)
            self._broker_failed(error)
            return
        self._next_renewal = now + Conf.RETRY / 3
        for receipt in valid:
            self._held[receipt].until = now + Conf.RETRY
        for receipt in set(receipts) - set(valid):
            self._held.pop(receipt).until = 0.0

    # -- giving back --------------------------------------------------------------------------

    def _give_back_returned(self) -> None:
        while self._returned:
            lease, delay = self._returned.popleft()
            self._give_back([lease], delay)
        now = time.monotonic()
        if self.busy_since and now - self.busy_since > _LONGEST_WAIT and not self.inbox.empty():
            self._give_back_waiting()

    def _give_back_waiting(self) -> None:
        waiting: list[Lease] = []
        is_ended = False
        while True:
            try:
                lease = self.inbox.get_nowait()
            except queue.Empty:
                break
            if lease is None:
                is_ended = True
            else:
                waiting.append(lease)
        self._give_back(waiting)
        if is_ended:
            self.inbox.put(None)

    def _give_back(self, leases: list[Lease], delay: float = 0.0) -> None:
        """Give leases back; what has no receipt is put into the queue anew."""
        receipts = [lease.receipt for lease in leases if lease.receipt is not None]
        for receipt in receipts:
            self._held.pop(receipt, None)
        loose = [lease.payload for lease in leases if lease.receipt is None]
        try:
            if loose:
                self._broker.enqueue_many(loose)
            if receipts and self._broker.can_release:
                self._broker.release(receipts, delay)
        except BrokerError as error:
            self._broker_failed(error)

    def _abandon(self) -> None:
        """Leave: the supervisor is gone. The running task has a second to end by itself."""
        logger.warning("The supervisor is gone; this worker gives its work back and leaves")
        self._give_back_waiting()
        limit = time.monotonic() + 1.0
        while self.busy_since and time.monotonic() < limit:
            time.sleep(0.01)
        if self._outbox:
            self._settle()
        self._give_back(list(self._held.values()))
        os._exit(0)

    def _broker_failed(self, error: BrokerError) -> None:
        pause = self._lease_backoff.fail()
        logger.error("%s Next try in %.1f s.", error, pause)
