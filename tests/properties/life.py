"""The life of leases, in any order of calls: each broker does what the memory broker does.

A machine of hypothesis: it makes up sequences of calls, does each with the model and with the
broker under test, and compares what the seam promises. What a broker's flags deny is left out; of
several packages that may be lent, the broker chooses, and the model is told.

All times are multiples of a hundred seconds, and whatever is awaited is due at fifty more: so it
does not matter that a server's clock goes on by itself.
"""

import collections
import os
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from django_q.brokers.base import Broker
from tests.properties.grounds import Ground
from tests.properties.queue import Queue
from tests.properties.reference import Package

#: Seconds a lease lasts.
RETRY = 1050
#: Steps of one example.
_STEPS = 30
#: Examples of one broker, for a night: `PROPERTY_EXAMPLES=5000 make test ARGS=tests/properties`.
_EXAMPLES = int(os.environ.get("PROPERTY_EXAMPLES", "0"))

_WHO = st.integers(0, 1)
#: Which of the loans so far, the last ones first.
_SOME = st.lists(st.integers(0, 30), min_size=1, max_size=6)
_RARELY = st.sampled_from([False] * 7 + [True])


class Life(Queue):
    """What can be done with a queue, and what has to be true then."""

    @initialize(counts=st.lists(st.integers(1, 4), min_size=2, max_size=4), limit=st.integers(1, 7))
    def begin(self, counts: list[int], limit: int) -> None:
        """Begin with something to do: hypothesis leaves some rules out of many examples."""
        for number, count in enumerate(counts):
            self.enqueue(0, count, 0, 5 * (number % 2))
        self.lease(1, limit)

    # -- keep ------------------------------------------------------------------------------------

    @rule(
        who=_WHO,
        count=st.integers(1, 4),
        delay=st.sampled_from([0, 0, 0, 350, 850]),
        priority=st.sampled_from([0, 0, 5, -5, 100]),
    )
    def enqueue(self, who: int, count: int, delay: int, priority: int) -> None:
        """Keep packages."""
        delay = delay if self.kind.can_delay else 0
        priority = priority if self.kind.can_prioritise else 0
        payloads = [f"package {len(self.packages) + number}" for number in range(count)]
        if count == 1 and not delay and not priority:
            ids = [self.brokers[who].enqueue(payloads[0])]
        else:
            ids = self.brokers[who].enqueue_many(iter(payloads), delay=delay, priority=priority)
        assert len(ids) == count
        model_ids = self.model.enqueue_many(payloads, delay=delay, priority=priority)
        for payload, id, model_id in zip(payloads, ids, model_ids, strict=True):
            made = Package(payload, model_id, id, priority, is_fresh=not delay)
            self.packages[payload] = made

    # -- lend ------------------------------------------------------------------------------------

    @rule(who=_WHO, limit=st.integers(1, 7))
    def lease(self, who: int, limit: int) -> None:
        """Lend packages: those that may be lent, and each to one."""
        ready = self.ready()
        leases = self.brokers[who].lease(limit)
        came = [lease.payload for lease in leases]
        assert len(set(came)) == len(came), f"twice in one lease: {came}"
        strange = [payload for payload in came if payload not in ready]
        assert not strange, f"nobody may have them now: {strange}"
        if not self.marked:
            assert len(came) == min(limit, len(ready)), f"{came} of {list(ready)}"
        if self.ground.keeps_order:
            self.check_order([ready[payload] for payload in came], ready)
        self.lend(who, leases)

    # -- receipts --------------------------------------------------------------------------------

    @precondition(lambda self: self.loans)
    @rule(who=_WHO, places=_SOME, how=st.sampled_from(["many", "many", "acknowledge", "fail"]))
    def acknowledge(self, who: int, places: list[int], how: str) -> None:
        """Take packages away whose work is done, some perhaps for the second time."""
        loans = self.chosen(who, places)
        receipts = [loan.receipt for loan in loans]
        if how == "many":
            self.brokers[who].acknowledge_many(receipts + receipts[:1])
        else:
            for receipt in receipts:
                getattr(self.brokers[who], how)(receipt)
        self.model.acknowledge_many(self.in_model(loans))

    @precondition(lambda self: self.loans and self.kind.can_renew)
    @rule(who=_WHO, places=_SOME)
    def renew(self, who: int, places: list[int]) -> None:
        """Prolong leases; the answer tells those that were lost."""
        loans = self.chosen(who, places, is_renewal=True)
        in_model = self.in_model(loans)
        wanted = [loan.receipt for loan in loans if loan.model_receipt in in_model]
        assert self.brokers[who].renew([loan.receipt for loan in loans]) == wanted
        assert self.model.renew(in_model) == in_model

    @precondition(lambda self: self.loans and self.kind.can_release)
    @rule(
        who=_WHO,
        places=_SOME,
        delay=st.sampled_from([0, 0, 350, RETRY]),
        counted=st.booleans(),
    )
    def release(self, who: int, places: list[int], delay: int, counted: bool) -> None:
        """Give packages back, now or later, started or not."""
        loans = self.chosen(who, places)
        in_model = self.in_model(loans)
        self.brokers[who].release([loan.receipt for loan in loans], delay, counted=counted)
        self.model.release(in_model, delay, counted=counted)
        for package in (loan.package for loan in loans if loan.model_receipt in in_model):
            self.is_back(package, delay, counted=counted)

    @precondition(lambda self: type(self.kind).release_holder is not Broker.release_holder)
    @rule(who=_WHO, whose=_WHO, is_done=_RARELY)
    def release_holder(self, who: int, whose: int, is_done: bool) -> None:
        """Give back what a dead process still leases; what has lapsed may count, or not."""
        loans = [
            loan
            for loan in self.loans
            if loan.who == whose or self.brokers[0] is self.brokers[1]
            if self.model.is_held(loan.model_receipt)
        ]
        if not is_done or any(self.model.is_lapsed(loan.package.id) for loan in loans):
            return
        assert self.brokers[who].release_holder(self.brokers[whose].holder) == len(loans)
        self.model.release([loan.model_receipt for loan in loans])
        for loan in loans:
            self.is_back(loan.package)

    # -- take away -------------------------------------------------------------------------------

    @precondition(lambda self: self.packages and (self.kind.can_delete or self.ground.marks))
    @rule(who=_WHO, place=st.integers(0, 30))
    def delete(self, who: int, place: int) -> None:
        """Take away a package that waits, is held back, or is leased; or was taken away before."""
        package = list(self.packages.values())[-1 - place % len(self.packages)]
        is_leased = any(
            self.model.is_held(loan.model_receipt) and loan.who != who
            for loan in self.loans
            if loan.package is package
        )
        if not package.tracking_id or (is_leased and not self.kind.portable_receipts):
            return
        was_there = self.brokers[who].delete(package.tracking_id)
        in_model = self.model.delete(package.id)
        assert was_there == (in_model and self.kind.can_delete)
        if self.ground.marks and in_model:
            self.marked.add(package.payload)

    @rule(who=_WHO, is_done=_RARELY, is_whole=st.booleans())
    def purge(self, who: int, is_done: bool, is_whole: bool) -> None:
        """Take everything away."""
        if not is_done:
            return
        self.ground.before_purge(self.kind)
        # Amazon lets a queue of that name be made again after a minute only.
        if is_whole and not self.ground.marks:
            self.brokers[who].delete_queue()
        else:
            self.brokers[who].purge_queue()
        self.model.purge_queue()
        self.marked.clear()

    # -- time, connections -----------------------------------------------------------------------

    @rule(hundreds=st.integers(1, 12))
    def advance(self, hundreds: int) -> None:
        """Let time pass: leases lapse, and what is held back becomes due."""
        self.ground.advance(self.kind, 100 * hundreds)

    @rule(who=_WHO, is_done=_RARELY)
    def reconnect(self, who: int, is_done: bool) -> None:
        """Close the connection; the next call makes a new one."""
        if is_done:
            self.brokers[who].close()

    # -- what is true at any time ----------------------------------------------------------------

    @invariant()
    def sizes_are_told(self) -> None:
        """The numbers are those of the model."""
        if self.marked:
            return
        waiting, leased = self.ground.sizes(self.model)
        if waiting is not None:
            assert self.kind.queue_size() == waiting
        if leased is not None:
            assert self.brokers[1].lock_size() == leased

    def teardown(self) -> None:
        """Once all leases have lapsed, all comes that was not taken away; and nothing else."""
        self.ground.advance(self.kind, 1200)
        came: collections.Counter[str] = collections.Counter()
        while leases := self.kind.lease(7):
            came.update(lease.payload for lease in leases)
            if self.kind.has_receipts:
                self.kind.acknowledge_many([str(lease.receipt) for lease in leases])
        there = (each for each in self.packages.values() if self.model.is_there(each.id))
        assert came == collections.Counter(each.payload for each in there)
        self.ground.give_up(self.brokers)


def live(ground: Ground, examples: int) -> None:
    """Try so many sequences of calls on a broker; for a night as many as were asked for."""
    kind: Any = type(f"LifeOn{type(ground).__name__}", (Life,), {"ground": ground})
    run_state_machine_as_test(
        kind,
        settings=settings(
            max_examples=_EXAMPLES or examples,
            stateful_step_count=_STEPS,
            derandomize=not _EXAMPLES,
            database=None,
            # To look for the shortest sequence takes minutes, which only a night has.
            phases=list(Phase) if _EXAMPLES else [Phase.generate],
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
