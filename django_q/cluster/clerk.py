"""The clerk: a worker's I/O thread. Leases, renews, gives back, settles. Runs only our code.

Beside it the main thread takes leases from `inbox` and hands over outcomes. Duties, each round:

1. leave, with all work given back, when the supervisor is gone;
2. settle what the main thread finished: at once when it waits, else in batches;
3. renew leases at a third of their time;
4. follow what runs: write it down, and interrupt what was cancelled or is too late;
5. give back what waits behind a slow task, and all of it when the cluster stops;
6. lease more while there is room, blocking only when the main thread is idle.

What a server does not take now is kept, renewed and tried again, until the supervisor's patience
ends.
"""

import collections
import contextlib
import functools
import itertools
import multiprocessing.connection
import os
import queue
import signal
import threading
import time
from collections.abc import Callable

from django_q.brokers import Broker, Lease
from django_q.cluster.ahead import make_ready
from django_q.cluster.giving_back import give_back, together
from django_q.cluster.held import HeldLeases
from django_q.cluster.outbox import Finished, Outbox
from django_q.cluster.patience import Patience
from django_q.cluster.room import Room
from django_q.cluster.scoreboard import Scoreboard, Slot, State
from django_q.cluster.settlement import Settlement
from django_q.cluster.system import block_signals, kill_group
from django_q.cluster.tracker import Tracker
from django_q.conf import Conf, logger
from django_q.models.ledger import package_key

#: What waits this long behind one task is given back.
_LONGEST_WAIT = 1.0
#: Pause before a busy worker asks an empty queue again; an idle one waits on the server.
_EMPTY_PAUSE = 0.02
#: The same where some places of a worker are taken, perhaps for long: it grows to this; to the
#: second where each call is paid for.
_LONGEST_EMPTY_PAUSE = {False: 0.1, True: 1.0}
#: Time for which an idle main thread has the interpreter to itself when something came: else the
#: clerk's next round, and a look for more that nobody needs yet, would run before its task.
_HAND_OVER = 0.0001
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
        #: Since when nothing more can begin (monotonic); 0 while something can.
        self.busy_since = 0.0
        #: Packages that threads or a loop are at, and places where more may begin.
        self.running, self.free = 0, board.places
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
        self._held = HeldLeases(broker, slot)
        self._returned: collections.deque[Lease] = collections.deque()
        #: Ends what runs in threads and is too late, should the main thread be busy; the worker's
        #: to set.
        self.keep_limits: Callable[[], object] = _nothing
        #: Follows what runs.
        self.tracker = Tracker(broker.list_key)
        self._outbox = Outbox(settlement, slot.journal, self.tracker, is_metered=broker.is_metered)
        self._room = Room(broker, board.places)
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._is_woken = False
        self._main_has_left = False
        self._patience = Patience()
        self._ask_again, self._empty_pause = 0.0, _EMPTY_PAUSE

    @property
    def queue(self) -> str:
        """The queue it serves, or the name of the cluster that serves several."""
        return self._broker.list_key

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
        block_signals(signal.valid_signals())
        try:
            # The holder's name first: a lease whose reply nobody read can be found by it.
            self._held.write()
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
        self._held.renew(now, self._patience)
        self.keep_limits()
        self.tracker.look(now, self._board.wishes)
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
        with contextlib.suppress(queue.Empty):
            self._wake.get(timeout=max(pause, 0.001))

    def _settle(self) -> None:
        self._held.drop(self._outbox.settle())

    # -- leasing ------------------------------------------------------------------------------

    def _lease_more(self, now: float) -> bool:
        """Lease what there is room for; True when something came."""
        busy_since, waiting = self.busy_since, self.inbox.qsize()
        is_at_work = bool(busy_since or self.running)
        if self._patience.is_waiting or (is_at_work and now < self._ask_again):
            return False
        if self._outbox.is_full:
            return False  # nothing can be saved: what waits may find a worker that can
        busy_for = now - busy_since if busy_since else 0.0
        wanted = self._room.wanted(waiting, len(self._held), busy_for, self.free)
        if wanted <= 0:
            return False
        # Outbox read after busy_since: an outcome is there before the main thread says idle. What
        # that has taken and not yet said to be at, for want of a processor, is held.
        is_idle = not (is_at_work or waiting or self._outbox or self._held)
        wanted = min(wanted, self._broker.max_lease or wanted)
        leases = self._ask(wanted, self._broker.idle_wait if is_idle else 0.0)
        self._room.leased(wanted, len(leases))
        self.low_water = self._room.low_water
        if not leases:
            self._ask_again = time.monotonic() + self._empty_pause
            if self.running:
                longest = _LONGEST_EMPTY_PAUSE[self._broker.is_metered]
                self._empty_pause = min(2 * self._empty_pause, longest)
            return is_idle and not self._patience.is_waiting
        self._empty_pause = _EMPTY_PAUSE
        self._take_in(leases)
        if is_idle:
            time.sleep(_HAND_OVER)
        return True

    def _ask(self, wanted: int, wait: float) -> list[Lease]:
        asked = time.monotonic()
        leases = self._patience.call(lambda: self._broker.lease(wanted, wait))
        if leases is None:
            return []
        if not leases and wait and time.monotonic() - asked < _EMPTY_PAUSE:
            time.sleep(Conf.POLL)  # a broker of one's own that does not wait
        until, recall = asked + Conf.RETRY, self._slot.get("recall")
        for lease in leases:
            lease.until, lease.recall = until, recall
            lease.queue = lease.queue or self._broker.list_key
            lease.key = package_key(lease.queue, lease.id, lease.payload)
        return leases

    def _take_in(self, leases: list[Lease]) -> None:
        """Say on the scoreboard what is held, then let the main thread have it."""
        leases, extra = self._held.take(leases)
        self._returned.extend(extra)
        # While it waited at the server somebody may have cancelled what came now.
        self.tracker.hear(self._board.wishes)
        for lease in leases:
            self.inbox.put(make_ready(lease))

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
        """Give back what was taken back or returned; after a failure, the rest the next time."""
        if not self._returned or self._patience.is_waiting:
            return
        groups = together([self._returned.popleft() for _ in range(len(self._returned))])
        for place, group in enumerate(groups, 1):
            if self._patience.call(functools.partial(give_back, self._broker, group)) is None:
                # It comes last, so that what the broker never takes holds up nothing else.
                self._returned.extend(itertools.chain(*groups[place:], group))
                return
            self._held.drop(lease.receipt for lease in group)
            # Somebody else has them next: not every server could tell, should this worker die.
            self._held.write()

    def _abandon(self) -> None:
        """Leave: the supervisor is gone. The running task has a second to end by itself."""
        logger.warning("The supervisor is gone; this worker gives its work back and leaves")
        self._take_back_waiting()
        self._give_back()
        limit = time.monotonic() + _FAREWELL
        while (self.busy_since or self.running) and time.monotonic() < limit:
            time.sleep(0.01)
        if self._outbox:
            self._settle()
        self._returned.extend(self._held)
        self._give_back()
        self._slot.set("state", State.LEFT)
        if self.busy_since or self.running:
            kill_group(os.getpid())  # nobody else is left to end what the task has started
        os._exit(0)


def _nothing() -> None:
    """Stand in for limits that no worker has set: its main thread keeps its own."""
