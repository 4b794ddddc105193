"""The clerk: a worker's I/O thread. Leases, renews, gives back, settles. Runs only our code.

Beside it the main thread takes leases from `inbox` and hands over outcomes. Duties, each round:

1. leave, with all work given back, when the supervisor is gone;
2. settle what the main thread finished: at once when it waits, else in batches;
3. renew leases at a third of their time;
4. give back what waits behind a slow task, and all of it when the cluster stops;
5. lease more while there is room, blocking only when the main thread is idle.

What a server does not take now is kept, renewed and tried again, until the supervisor's patience
ends.
"""

import collections
import multiprocessing.connection
import os
import queue
import signal
import threading
import time

from django_q.brokers import Broker, Lease
from django_q.cluster.outbox import Finished, Outbox
from django_q.cluster.patience import Patience
from django_q.cluster.room import Room
from django_q.cluster.scoreboard import Holdings, Scoreboard, Slot, State
from django_q.cluster.settlement import Settlement
from django_q.conf import Conf, logger
from django_q.models.ledger import package_key

#: What waits this long behind one task is given back.
_LONGEST_WAIT = 1.0
#: Pause before a busy worker asks an empty queue again; an idle one waits on the server.
_EMPTY_PAUSE = 0.02
#: Longest pause of a round: the beat of the slot, and the look at the supervisor's pipe.
_LONGEST_PAUSE = 0.25
#: How long a running task may go on when the supervisor is gone.
_FAREWELL = 1.0
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
        #: Deliveries beyond the first were lapses or deaths; not so where what we gave back, or
        #: never acknowledged by intent, counts too.
        self.counts_lapses = not broker.release_counts
        #: Nothing is started any more.
        self.is_stopping = False
        self._broker = broker
        self._board = board
        self._slot = slot
        self._life = life
        self._held: dict[str, Lease] = {}
        self._returned: collections.deque[Lease] = collections.deque()
        self._outbox = Outbox(settlement, slot.journal, is_metered=broker.is_metered)
        self._room = Room(broker)
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._is_woken = False
        self._main_has_left = False
        self._patience = Patience()
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
        """Lease no more, give back what waits, let the main thread go. Safe in a signal handler."""
        self.is_stopping = True
        # SimpleQueue.put is reentrant: the handler may interrupt a get or put of the main thread.
        self.inbox.put(None)
        self.wake()

    def finish(self) -> None:
        """Settle what is left and end the thread; the main thread has left its loop."""
        self.is_stopping = self._main_has_left = True
        self.wake()
        self.join()

    def give_back(self, lease: Lease) -> None:
        """Give a lease back that the main thread took and did not start."""
        self._returned.append(lease)
        self.wake()

    # -- the rounds ---------------------------------------------------------------------------

    def run(self) -> None:
        """Go round until the main thread has left. A defect of ours ends the whole worker."""
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            # The holder's name first: a lease whose reply nobody read can be found by it.
            self._write_holdings()
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
        if self._board.is_stopping and not self.is_stopping:
            # A task may have made the main thread deaf to its signal.
            self.stop()
        if self._outbox and (self.is_stopping or self.inbox.empty() or self._outbox.is_due(now)):
            self._settle()
        self._renew_due(now)
        is_stuck = self.busy_since and now - self.busy_since > _LONGEST_WAIT
        if is_stuck or self.is_stopping:
            self._take_back_waiting()
        self._give_back()
        if self.is_stopping:
            if self._main_has_left and not self._outbox and not self._returned:
                return True
        elif self._lease_more(now):
            return False
        self._pause(now)
        return False

    def _pause(self, now: float) -> None:
        pause = _LONGEST_PAUSE
        if self._outbox:
            pause = min(pause, self._outbox.due_in(now))
        if self._patience.is_waiting:
            pause = min(pause, self._patience.left)
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
        if self._patience.is_waiting or (busy_since and now < self._ask_again):
            return False
        if self._outbox.is_full:
            return False  # nothing can be saved: what waits may find a worker that can
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
            return is_idle and not self._patience.is_waiting
        self._take_in(leases)
        return True

    def _ask(self, wanted: int, wait: float) -> list[Lease]:
        asked = time.monotonic()
        leases = self._patience.call(lambda: self._broker.lease(wanted, wait))
        if leases is None:
            return []
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
            for lease in extra:
                self._held.pop(lease.receipt or "", None)
            self._returned.extend(extra)
            if not extra:
                break
        for lease in leases:
            self.inbox.put(lease)

    def _write_holdings(self) -> bool:
        return self._slot.write_holdings(Holdings(self._broker.holder, tuple(self._held)))

    def _renew_due(self, now: float) -> None:
        if now < self._next_renewal or not self._broker.can_renew or not self._held:
            return
        receipts = list(self._held)
        valid = self._patience.call(lambda: self._broker.renew(receipts))
        if valid is None:
            self._next_renewal = now + min(1.0, Conf.RETRY / 6)
            return
        self._next_renewal = now + Conf.RETRY / 3
        for receipt in valid:
            self._held[receipt].until = now + Conf.RETRY
        for receipt in set(receipts) - set(valid):
            self._held.pop(receipt).until = 0.0

    # -- giving back --------------------------------------------------------------------------

    def _take_back_waiting(self) -> None:
        """Take out of the inbox what has not started; the word to leave stays in."""
        is_ended = False
        while True:
            try:
                lease = self.inbox.get_nowait()
            except queue.Empty:
                break
            if lease is None:
                is_ended = True
            else:
                self._returned.append(lease)
        if is_ended:
            self.inbox.put(None)

    def _give_back(self) -> None:
        """Give back what was taken back or returned; what has no receipt is put in anew."""
        if not self._returned or self._patience.is_waiting:
            return
        leases = [self._returned.popleft() for _ in range(len(self._returned))]
        receipts = [lease.receipt for lease in leases if lease.receipt is not None]
        loose = [lease.payload for lease in leases if lease.receipt is None]

        def give() -> bool:
            if loose:
                self._broker.enqueue_many(loose)
            if receipts and self._broker.can_release:
                self._broker.release(receipts)
            return True

        if self._patience.call(give) is None:
            self._returned.extendleft(reversed(leases))
            return
        for receipt in receipts:
            self._held.pop(receipt, None)

    def _abandon(self) -> None:
        """Leave: the supervisor is gone. The running task has a second to end by itself."""
        logger.warning("The supervisor is gone; this worker gives its work back and leaves")
        self._take_back_waiting()
        self._give_back()
        limit = time.monotonic() + _FAREWELL
        while self.busy_since and time.monotonic() < limit:
            time.sleep(0.01)
        if self._outbox:
            self._settle()
        self._returned.extend(self._held.values())
        self._give_back()
        self._slot.set("state", State.LEFT)
        if self.busy_since:
            # Nobody else is left to end what the task has started.
            os.killpg(0, signal.SIGKILL)
        os._exit(0)
