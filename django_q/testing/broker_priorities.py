"""The part of `BrokerSuite` that is about priorities, where the broker has `can_prioritise`."""

# ruff: noqa: D102 (the names of the tests are sentences)

from django_q.testing.broker_ground import BrokerGround


class PriorityTests(BrokerGround):
    """Higher ones first, whatever else happens to them; among equals the order stays."""

    def put_at(self, priority: int, *payloads: str, delay: float = 0.0) -> list[str]:
        """Enqueue packages with a priority; their tracking ids."""
        self.need("can_prioritise")
        return self.broker.enqueue_many(payloads, delay=delay, priority=priority)

    def come(self, count: int) -> list[str]:
        """Give the payloads of the next packages, which stay leased."""
        return [lease.payload for lease in self.take(count)]

    def test_higher_priorities_come_first(self) -> None:
        self.put_at(-100, "last")
        self.put_at(0, "c", "d")
        self.put_at(5, "b")
        self.put_at(0, "e")
        self.put_at(100, "a")
        self.put_at(-1, "f")

        assert self.come(3) == ["a", "b", "c"]
        assert self.come(4) == ["d", "e", "f", "last"]
        self.comes_nothing()

    def test_equal_priorities_come_in_order(self) -> None:
        payloads = [f"package {number}" for number in range(20)]
        for payload in payloads:
            self.put_at(7, payload)
            self.put_at(-7, f"low {payload}")

        assert self.come(40) == payloads + [f"low {payload}" for payload in payloads]

    def test_many_with_a_priority_come_once_and_in_order(self) -> None:
        payloads = [f"package {number}" for number in range(self.many)]
        low = [f"low {number}" for number in range(self.many)]
        self.put_at(-1, *low)

        self.put_at(1, *payloads)

        assert self.come(2 * self.many) == payloads + low
        self.comes_nothing()

    def test_released_packages_keep_their_priority(self) -> None:
        self.need("can_release")
        self.put_at(1, "b", "c", "d")
        self.put_at(-1, "g", "h")
        self.put_at(0, "e", "f")
        leases = self.take(6)

        self.broker.release(self.receipts(leases))
        self.put_at(2, "a")

        assert self.come(8) == list("abcdefgh")

    def test_packages_released_for_later_keep_their_priority(self) -> None:
        self.need("can_release")
        self.put_at(1, "b")
        self.put_at(-1, "d")
        self.broker.release(self.receipts(self.take(2)), self.delay, counted=True)
        self.put_at(2, "a")
        self.put_at(0, "c")
        self.have_sizes(2, 0)

        self.advance(self.delay)

        self.have_sizes(4, 0)
        assert self.come(4) == list("abcd")

    def test_packages_held_back_keep_their_priority(self) -> None:
        self.need("can_delay")
        self.put_at(1, "b", delay=self.delay)
        self.put_at(-1, "e", delay=self.delay)
        self.put_at(0, "c", delay=self.delay)
        self.put_at(2, "a")
        self.put_at(0, "d")
        self.have_sizes(2, 0)

        self.advance(self.delay)

        self.have_sizes(5, 0)
        came = self.come(5)
        # Which of two equals waits for longer, the one that was held back or the other?
        assert came[:2] + sorted(came[2:4]) + came[4:] == list("abcde")

    def test_a_lapsed_package_is_not_passed_by_its_equals(self) -> None:
        self.need("has_receipts")
        self.shorten_leases()
        self.put_at(-1, "a")
        self.take_one()

        self.advance(self.retry)
        self.put_at(-1, "b")

        assert self.come(2) == ["a", "b"]

    def test_packages_with_a_priority_are_counted(self) -> None:
        self.put_at(3, "a", "b")
        self.put_at(-3, "c", "d")
        self.put_at(0, "e")
        if self.broker.can_delay:
            self.put_at(3, "held back", delay=self.delay)
        self.have_sizes(5, 0)

        leases = self.take(3)
        self.have_sizes(2, 3)

        self.broker.acknowledge_many(self.receipts(leases))
        self.have_sizes(2, 0)

    def test_packages_with_a_priority_can_be_deleted(self) -> None:
        self.need("can_delete")
        high, other = self.put_at(3, "a", "b")
        (low,) = self.put_at(-3, "c")
        (leased,) = self.put_at(9, "d")
        (held_back,) = self.put_at(3, "e", delay=self.delay)
        self.take_one()

        for id in (high, low, leased, held_back):
            assert self.broker.delete(id)
            assert not self.broker.delete(id)

        self.have_sizes(1, 0)
        last = self.take_one()
        assert last.id == other
        self.broker.acknowledge_many(self.receipts([last]))
        self.advance(self.delay)
        self.comes_nothing()
        self.have_sizes(0, 0)

    def test_a_purge_takes_packages_with_a_priority(self) -> None:
        for priority in (3, -3):
            self.put_at(priority, "a", "b")
            self.put_at(priority, "held back", delay=self.delay if self.broker.can_delay else 0.0)
        self.take(1)

        self.broker.purge_queue()

        self.have_sizes(0, 0)
        self.comes_nothing()
        self.put_at(1, "after")
        assert self.come(1) == ["after"]
