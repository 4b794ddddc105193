"""The contract of a broker as tests: subclass `BrokerSuite`, and pytest runs it on your broker.

    class TestMine(BrokerSuite):
        def make_broker(self):
            return Mine(self.queue_name())

What is needed for a broker of your own is in `BrokerGround`: attributes that say what the server
cannot do, and hooks for its clock and for forks. Tests of what the broker's flags deny are skipped.
"""

# ruff: noqa: D102 (the names of the tests are sentences)

import os
import pickle
import threading
import time
from collections.abc import Callable

from django_q.brokers.base import Broker
from django_q.conf import Conf
from django_q.exceptions import BrokerError, BrokerUnavailable
from django_q.testing.broker_ground import BrokerGround
from django_q.testing.broker_leases import LeaseTests
from django_q.testing.broker_priorities import PriorityTests

#: Seconds a ping may take, by the contract.
PING_LIMIT = 2.0
#: Seconds a busy machine may add to any measured time.
SLACK = 3.0


class QueueTests(BrokerGround):
    """What any broker does: keep, give, count, remove."""

    def test_text_comes_out_as_it_went_in(self) -> None:
        payloads = ["plain", "a:b c\n\td\\e'\"{}", "Grüße, 世界 🚀 \u0301", "eyJhIjoxfQ:1tX:_-="]

        self.put(*payloads)

        assert sorted(lease.payload for lease in self.take(4)) == sorted(payloads)

    def test_a_large_package_comes_out_whole(self) -> None:
        payload = ("0123456789abcdef" * (self.large // 16 + 1))[: self.large]

        self.put(payload)

        assert self.take_one().payload == payload

    def test_bytes_in_disguise_come_out_as_they_went_in(self) -> None:
        self.skip_unless(self.broker.carries_bytes, "carries no bytes")

        every = "\xff~" + bytes(range(256)).decode("latin-1")
        payloads = [every * 10, "\xff", "\xff\xff\0\r\n", "\xffby chance, \u4e16\u754c"]
        self.put(*payloads)

        assert sorted(lease.payload for lease in self.take(4)) == sorted(payloads)

    def test_an_empty_package_is_a_package(self) -> None:
        self.skip_unless(self.takes_empty, "takes no empty package")

        self.put("")

        assert self.take_one().payload == ""

    def test_packages_come_in_order(self) -> None:
        self.skip_unless(self.keeps_order, "keeps no order")

        payloads = [f"package {number}" for number in range(20)]
        for payload in payloads:
            self.broker.enqueue(payload)

        assert [lease.payload for lease in self.take(20)] == payloads

    def test_many_come_once_and_in_order(self) -> None:
        payloads = [f"package {number}" for number in range(self.many)]

        ids = self.broker.enqueue_many(payload for payload in payloads)

        assert len(ids) == self.many
        came = [lease.payload for lease in self.take(self.many)]
        assert (came if self.keeps_order else sorted(came, key=payloads.index)) == payloads
        self.comes_nothing()

    def test_no_packages_are_fine(self) -> None:
        assert self.broker.enqueue_many([]) == []
        self.broker.acknowledge_many([])
        self.broker.release([])
        assert self.broker.renew([]) == []

    def test_each_package_has_a_tracking_id(self) -> None:
        ids = [*self.put("a", "b"), self.broker.enqueue("c")]

        assert all(isinstance(id, str) for id in ids)
        if self.broker.can_delete:
            assert len(set(ids)) == 3
            assert {lease.id for lease in self.take(3)} in ({*ids}, {""})

    def test_no_more_come_than_asked_for(self) -> None:
        self.put(*"abcdefgh")

        assert 1 <= len(self.take(1)) <= 1
        assert 1 <= len(self.broker.lease(3, 1.0)) <= 3

    def test_an_idle_lease_ends_in_its_time(self) -> None:
        began = time.monotonic()

        assert self.broker.lease(1) == []
        assert self.broker.lease(1, 0.3) == []

        assert time.monotonic() - began < 1.3 + SLACK

    def test_an_idle_lease_sees_what_is_enqueued(self) -> None:
        self.broker.lease(1)
        producer = self.another()

        timer = threading.Timer(0.3, self._in_thread(lambda: producer.enqueue("late"), producer))
        timer.start()
        began = time.monotonic()
        leases = self.broker.lease(1, 9.0) or self.take(1)
        waited = time.monotonic() - began
        timer.join()

        assert [lease.payload for lease in leases] == ["late"]
        assert waited < 0.3 + 1.0 + SLACK

    def test_the_old_names_work(self) -> None:
        for payload in "abc":
            self.broker.enqueue(payload)

        came: list[str] = []
        while len(came) < 3 and (delivered := self.broker.dequeue()):
            # A list of pairs, or one pair.
            for receipt, payload in [delivered] if isinstance(delivered, tuple) else delivered:
                # Old brokers hand on the bytes of their client.
                came.append(payload.decode() if isinstance(payload, bytes) else payload)
                (self.broker.fail if came[-1] == "b" else self.broker.acknowledge)(receipt)

        assert sorted(came) == ["a", "b", "c"]
        self.have_sizes(0, 0)
        assert not self.broker.dequeue()

    def test_sizes_are_told(self) -> None:
        self.have_sizes(0, 0)
        self.put("a", "b", "c")
        self.have_sizes(3, 0)

        leases = self.take(2)
        self.have_sizes(1, 2 if self.broker.has_receipts else 0)

        if self.broker.has_receipts:
            self.broker.acknowledge_many(self.receipts(leases))
            self.have_sizes(1, 0)

    def test_a_waiting_package_can_be_deleted(self) -> None:
        self.need("can_delete")
        first, second, third = self.put("a", "b", "c")

        assert self.broker.delete(second)

        assert not self.broker.delete(second)
        self.have_sizes(2, 0)
        assert sorted(lease.payload for lease in self.take(2)) == ["a", "c"]
        self.comes_nothing()
        self.have_sizes(0, 2 if self.broker.has_receipts else 0)

    def test_an_unknown_package_can_be_deleted_in_vain(self) -> None:
        self.put("a")

        assert not self.broker.delete("0" * 32)

        self.have_sizes(1, 0)

    def test_a_purge_takes_everything_and_may_be_repeated(self) -> None:
        for purge in (self.broker.purge_queue, self.broker.delete_queue):
            self.put("a", "b")
            if self.broker.can_delay:
                self.broker.enqueue_many(["held back"], delay=self.delay)
            self.take(1)

            purge()
            purge()

            self.have_sizes(0, 0)
        self.put("after")
        assert self.take_one().payload == "after"

    def test_a_package_is_held_back(self) -> None:
        self.need("can_delay")
        self.broker.enqueue_many(["later", "latest"], delay=self.delay)
        self.put("now")

        receipt, payload = self.take_one()
        assert payload == "now"
        if receipt is not None:
            self.broker.acknowledge(receipt)
        self.comes_nothing()
        self.have_sizes(0, 0)

        self.advance(self.delay)
        assert sorted(lease.payload for lease in self.take(2)) == ["later", "latest"]

    # -- server and instance -----------------------------------------------------------------

    def test_ping_and_info_answer(self) -> None:
        began = time.monotonic()

        assert self.broker.ping()

        assert time.monotonic() - began < PING_LIMIT
        assert isinstance(self.broker.info(), str)
        assert self.broker.info()

    def test_a_dead_server_is_told(self) -> None:
        broker = self.make_dead_broker()
        self.skip_unless(broker, "make_dead_broker() gives none")
        assert broker is not None

        began = time.monotonic()
        try:
            alive = broker.ping()
        except BrokerError:
            alive = False

        assert not alive
        assert time.monotonic() - began < PING_LIMIT + SLACK
        for call in (lambda: broker.enqueue("a"), lambda: broker.lease(1)):
            self._fails_as_unavailable(call)

    @staticmethod
    def _fails_as_unavailable(call: Callable[[], object]) -> None:
        try:
            call()
        except BrokerUnavailable:
            return
        raise AssertionError("BrokerUnavailable expected")

    def test_a_broker_survives_pickling(self) -> None:
        self.put("a")

        copy = pickle.loads(pickle.dumps(self.broker))

        assert copy.list_key == self.broker.list_key
        assert copy.holder != self.broker.holder
        if self.broker.is_shared:
            assert self.take_one(copy).payload == "a"
            copy.close()

    def test_a_broker_survives_a_fork(self) -> None:
        self.need("is_shared")
        self.put("a", "b")
        self.take_one()

        finish = self.in_child(lambda: (self.take_one().payload, self.put("from the child")))
        self.put("from the parent")

        child_took, _ = finish()
        others = [lease.payload for lease in self.take(2)]
        assert len({child_took, *others} & {"from the child", "from the parent", "b"}) == 3

    def test_a_broker_is_closed_and_goes_on(self) -> None:
        self.put("a")

        self.broker.close()
        self.broker.close()

        assert self.take_one().payload == "a"

    def test_heartbeats_are_kept_and_expire(self) -> None:
        pattern = f"{Conf.Q_STAT}:*"
        keys = [f"{Conf.Q_STAT}:{number}-{os.getpid()}" for number in (1, 2)]
        self.broker.set_stat(keys[0], "first", 30)
        self.skip_unless(self.broker.get_stat(keys[0]), "no cache for heartbeats")
        self.broker.set_stat(keys[1], "second", 1)
        self.broker.set_stat(keys[0], "first again", 30)

        assert sorted(self.broker.get_stats(pattern)) == ["first again", "second"]
        assert self.another().get_stat(keys[1]) == "second"

        self.comes_true(lambda: self.broker.get_stats(pattern) == ["first again"], "one left")
        assert self.broker.get_stat(keys[1]) is None
        assert self.broker.get_stat(f"{Conf.Q_STAT}:unknown") is None

    def _in_thread(self, work: Callable[[], object], broker: Broker) -> Callable[[], None]:
        def run() -> None:
            work()
            if broker is not self.broker:
                broker.close()

        return run


class BrokerSuite(QueueTests, LeaseTests, PriorityTests):
    """All tests of a broker. A subclass writes `make_broker`; see `BrokerGround` for the rest."""
