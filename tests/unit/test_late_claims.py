"""Late claims: what a server lends to a dead worker after its burial is given back."""

from collections.abc import Iterator

import pytest

from django_q.brokers.memory import Memory
from django_q.cluster import late_claims
from django_q.cluster.late_claims import LateClaims
from django_q.exceptions import BrokerUnavailable
from tests.unit.clock import Clock


class Moody(Memory):
    """Can be switched off for giving back."""

    is_away = False

    def release_holder(self, holder: str) -> int:
        if self.is_away:
            raise BrokerUnavailable("away")
        return super().release_holder(holder)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(late_claims, "time", made)
    return made


@pytest.fixture
def broker() -> Iterator[Moody]:
    made = Moody("late claims")
    yield made
    made.delete_queue()


@pytest.fixture
def claims(broker: Moody, clock: Clock) -> LateClaims:
    made = LateClaims(broker)
    made.expect(broker.holder)
    return made


def lend(broker: Moody) -> None:
    broker.enqueue("package")
    broker.lease(1)


def test_what_is_lent_after_the_burial_goes_back_after_a_second(
    claims: LateClaims, broker: Moody, clock: Clock
) -> None:
    lend(broker)

    claims.look()
    assert broker.lock_size() == 1
    clock.now += 1.1
    claims.look()

    assert broker.lock_size() == 0
    assert broker.queue_size() == 1


def test_it_is_looked_at_twice_and_then_no_more(
    claims: LateClaims, broker: Moody, clock: Clock
) -> None:
    clock.now += 1.1
    claims.look()
    lend(broker)
    clock.now += 4
    claims.look()
    assert broker.lock_size() == 0

    broker.purge_queue()
    lend(broker)
    clock.now += 100
    claims.look()

    assert broker.lock_size() == 1


def test_a_look_that_failed_is_made_again(claims: LateClaims, broker: Moody, clock: Clock) -> None:
    lend(broker)
    broker.is_away = True
    clock.now += 100
    with pytest.raises(BrokerUnavailable):
        claims.look()
    broker.is_away = False

    claims.look()

    assert broker.lock_size() == 0


def test_the_last_look_waits_for_no_moment(claims: LateClaims, broker: Moody) -> None:
    lend(broker)

    claims.look_last()

    assert broker.lock_size() == 0


def test_leases_of_others_are_theirs(claims: LateClaims, broker: Moody) -> None:
    broker.holder = "somebody else"
    lend(broker)

    claims.look_last()

    assert broker.lock_size() == 1
