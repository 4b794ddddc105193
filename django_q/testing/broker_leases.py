"""The half of `BrokerSuite` that is about leases: hidden, lapsed, renewed, given back, lost."""

# ruff: noqa: D102 (the names of the tests are sentences)

import threading

from django.db import transaction

from django_q.brokers.base import Broker
from django_q.testing.broker_ground import BrokerGround

#: How many consumers fetch at the same time.
CONSUMERS = 3
#: An id and receipt that no broker gave.
UNKNOWN = "0" * 32


class LeaseTests(BrokerGround):
    """What brokers with receipts do, and that no broker gives a package to two consumers."""

    def test_two_consumers_never_hold_one_package(self) -> None:
        payloads = [f"package {number}" for number in range(self.many)]
        self.put(*payloads)
        brokers = [self.another() for _ in range(CONSUMERS)]
        came: list[str] = []

        threads = [threading.Thread(target=self._drain, args=(b, came)) for b in brokers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(came) == sorted(payloads)

    def test_two_processes_never_hold_one_package(self) -> None:
        self.need("is_shared")
        payloads = [f"package {number}" for number in range(self.many)]
        self.put(*payloads)

        finish = [self.in_child(lambda: self._drain(self.another(), [])) for _ in range(CONSUMERS)]

        assert sorted(sum((result() for result in finish), [])) == sorted(payloads)

    def _drain(self, broker: Broker, came: list[str]) -> list[str]:
        limit = min(7, broker.max_lease or 7)
        while leases := broker.lease(limit, 0.2):
            came.extend(lease.payload for lease in leases)
            if broker.has_receipts:
                broker.acknowledge_many(self.receipts(leases))
        if broker is not self.broker:
            broker.close()
        return came

    def test_a_leased_package_is_hidden(self) -> None:
        self.need("has_receipts")
        self.put("a")

        lease = self.take_one()

        assert lease.payload == "a"
        assert lease.deliveries in (0, 1), "the first delivery, or a broker that does not count"
        self.comes_nothing(self.another())

    def test_without_receipts_a_package_is_gone(self) -> None:
        self.skip_unless(not self.broker.has_receipts, "has receipts")
        self.shorten_leases()
        self.put("a")

        receipt, payload = self.take_one()

        assert (receipt, payload) == (None, "a")
        self.advance(self.retry)
        self.comes_nothing()

    def test_an_acknowledged_package_never_comes_back(self) -> None:
        self.need("has_receipts")
        self.shorten_leases()
        self.put("a", "b")
        done, failed = self.receipts(self.take(2))

        self.broker.acknowledge(done)
        self.broker.fail(failed)
        self.have_sizes(0, 0)

        self.advance(self.retry * 1.2)
        self.comes_nothing()

    def test_acknowledged_twice_is_harmless(self) -> None:
        self.need("has_receipts")
        self.put("a", "b")
        first, second = self.receipts(self.take(2))

        self.broker.acknowledge_many([first])
        self.broker.acknowledge_many([first, first, second])
        self.broker.acknowledge(second)

        self.have_sizes(0, 0)

    def test_what_is_acknowledged_in_a_transaction_goes_with_its_commit(self) -> None:
        self.need("has_transactions")
        alias = getattr(self.broker, "alias", None)
        self.put("a")
        (receipt,) = self.receipts(self.take(1))

        with transaction.atomic(using=alias):
            assert self.broker.acknowledge_held(receipt)
            transaction.set_rollback(True, using=alias)

        self.have_sizes(0, 1)
        assert self.broker.is_there(receipt)
        assert self.broker.acknowledge_held(receipt)
        assert not self.broker.is_there(receipt)
        assert not self.broker.acknowledge_held(receipt)
        self.have_sizes(0, 0)

    def test_another_broker_may_use_a_receipt(self) -> None:
        self.need("portable_receipts")
        self.put("a")
        receipts = self.receipts(self.take(1))

        self.another().acknowledge_many(receipts)

        self.have_sizes(0, 0)

    def test_a_lapsed_package_comes_back_with_its_count(self) -> None:
        self.need("has_receipts")
        self.shorten_leases()
        self.put("a", "b")
        self.take(2)

        self.advance(self.retry)
        again = self.take(2, self.another())

        assert sorted(lease.payload for lease in again) == ["a", "b"]
        if self.counts_deliveries:
            assert [lease.deliveries for lease in again] == [2, 2]
        if self.keeps_order:
            assert [lease.payload for lease in again] == ["a", "b"]

    def test_a_lapsed_package_counts_as_waiting(self) -> None:
        self.need("has_receipts")
        self.shorten_leases()
        self.put("a")
        self.take_one()

        self.advance(self.retry)

        self.have_sizes(1, 0)

    def test_a_renewed_package_does_not_come_back(self) -> None:
        self.need("can_renew")
        self.shorten_leases()
        # Connected before, since that may take longer than a lease lasts.
        watcher = self.another()
        watcher.queue_size()
        self.put("a", "b")
        leases = {lease.payload: lease for lease in self.take(2)}
        receipts = self.receipts([leases["a"]])

        for _ in range(2):
            self.advance(self.retry * 0.5)
            receipts = self.broker.renew(receipts)
            assert len(receipts) == 1

        # The other one shows when the time is over.
        assert [lease.payload for lease in self.take(1, watcher)] == ["b"]
        self.comes_nothing(watcher)
        self.broker.acknowledge_many(receipts)
        self.have_sizes(0, 1)

    def test_renew_tells_the_receipts_that_are_lost(self) -> None:
        self.need("can_renew")
        self.put("a", "b", "c")
        leases = self.take(3)
        gone, kept, other = self.receipts(leases)
        self.broker.acknowledge(gone)

        renewed = self.broker.renew([other, gone, kept])

        assert len(renewed) == 2
        self.broker.acknowledge_many(renewed)
        self.have_sizes(0, 0)

    def test_a_lost_receipt_changes_nothing(self) -> None:
        self.need("has_receipts")
        self.skip_unless(self.fences, "does not tell old receipts from new ones")
        self.shorten_leases()
        self.put("a")
        old = self.receipts(self.take(1))
        self.advance(self.retry)
        owner = self.another()
        new = self.receipts(self.take(1, owner))

        self.broker.acknowledge_many(old)
        if self.broker.can_renew:
            assert self.broker.renew(old) == []
            new = owner.renew([*old, *new])
            assert len(new) == 1
        if self.broker.can_release:
            self.broker.release(old)

        self.comes_nothing()
        self.have_sizes(0, 1)
        owner.acknowledge_many(new)
        self.have_sizes(0, 0)

    def test_a_released_package_is_back_at_once(self) -> None:
        self.need("can_release")
        self.put("a")
        lease = self.take_one()

        self.broker.release(self.receipts([lease]))
        self.have_sizes(1, 0)
        again = self.take_one(self.another())

        assert again.payload == "a"
        if self.counts_deliveries:
            assert again.deliveries == (2 if self.broker.release_counts else 1)
        self.broker.acknowledge_many(self.receipts([lease]))
        if self.fences:
            self.have_sizes(0, 1)

    def test_a_started_package_is_released_with_its_count(self) -> None:
        self.need("can_release")
        self.put("a")

        self.broker.release(self.receipts(self.take(1)), counted=True)
        self.broker.release(self.receipts(self.take(1)))
        again = self.take_one()

        if self.counts_deliveries:
            assert again.deliveries == (3 if self.broker.release_counts else 2)

    def test_released_packages_go_to_the_front_in_order(self) -> None:
        self.need("can_release")
        self.put(*"abcde")
        leases = self.take(3)

        self.broker.release(self.receipts(leases))

        came = [lease.payload for lease in self.take(5)]
        assert (came if self.keeps_order else sorted(came)) == list("abcde")

    def test_a_released_package_waits_for_its_delay(self) -> None:
        self.need("can_release")
        self.put("a")

        self.broker.release(self.receipts(self.take(1)), self.delay, counted=True)
        self.comes_nothing()
        self.have_sizes(0, 0)

        self.advance(self.delay)
        assert self.take_one().payload == "a"

    def test_the_leases_of_a_holder_are_given_back(self) -> None:
        own = type(self.broker).release_holder is not Broker.release_holder
        self.skip_unless(own, "does not know who leases")
        self.put(*"abcdef")
        dead, alive = self.another(), self.another()
        self.take(3, dead)
        if alive is not dead:
            assert self.take_one(alive).payload == "d"

        assert alive.release_holder("nobody") == 0
        assert alive.release_holder(dead.holder) == 3

        again = self.take(6 if alive is dead else 5)
        came = [lease.payload for lease in again]
        assert came == (list("abcdef") if alive is dead else list("abcef"))
        assert all(lease.deliveries == 1 for lease in again)

    def test_a_leased_package_can_be_deleted(self) -> None:
        self.need("can_delete")
        self.need("has_receipts")
        self.shorten_leases()
        (id,) = self.put("a")
        receipts = self.receipts(self.take(1))

        assert self.broker.delete(id)

        self.have_sizes(0, 0)
        self.broker.acknowledge_many(receipts)
        if self.broker.can_renew:
            assert self.broker.renew(receipts) == []
        if self.broker.can_release:
            self.broker.release(receipts)
        self.advance(self.retry * 1.2)
        self.comes_nothing()

    def test_a_package_that_is_held_back_can_be_deleted(self) -> None:
        self.need("can_delete")
        self.need("can_delay")
        (id,) = self.broker.enqueue_many(["a"], delay=self.delay)

        assert self.broker.delete(id)

        self.advance(self.delay * 1.2)
        self.comes_nothing()
        self.have_sizes(0, 0)
