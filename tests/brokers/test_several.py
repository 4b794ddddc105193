"""Several queues in one broker: the contract holds, and leases come in order or by weight."""

import collections
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from django_q.brokers import Lease, get_broker
from django_q.brokers.base import Broker
from django_q.brokers.memory import Memory
from django_q.brokers.several import Several, serving_broker
from django_q.brokers.shares import Shares
from django_q.exceptions import BrokerUnavailable
from django_q.testing import BrokerSuite

Configure = Callable[..., Any]
ORDER = ("high", "default", "low")


class TestSeveralOnRedis(BrokerSuite):
    """The suite on one queue of two."""

    retry = delay = 0.6

    @pytest.fixture(autouse=True)
    def server(self, redis_url: str, q_cluster: Configure) -> None:
        """Redis, or Valkey."""
        q_cluster(redis=redis_url)

    def make_broker(self) -> Broker:
        """The queue under test, behind another one that is empty."""
        name = self.queue_name()
        return Several(name, [f"{name}-first", name])

    def another(self) -> Broker:
        """Another broker of the same queues."""
        return Several(self.broker.list_key, list(self.broker.queue_names))


class Noted(Memory):
    """Counts how often it was asked."""

    asked = 0
    is_away = False

    def lease(self, limit: int = 1, wait: float = 0.0) -> list[Lease]:
        """Count, and lend."""
        self.asked += 1
        if self.is_away:
            raise BrokerUnavailable("Away.")
        return super().lease(limit, wait)


class Metered(Noted):
    """Is paid for by the call."""

    is_metered = True
    max_lease = 10


class Old(Memory):
    """Can do less."""

    can_renew = False
    release_counts = True


@pytest.fixture
def make(q_cluster: Configure) -> Callable[..., Several]:
    """Function that makes a broker of these queues, whose members keep packages in memory."""

    def make(queues: Any = ORDER, kind: type = Noted) -> Several:
        q_cluster(broker_class=f"{__name__}.{kind.__name__}", queues=queues)
        broker = serving_broker("default")
        assert isinstance(broker, Several)
        return broker

    return make


def fill(broker: Several, **counts: int) -> None:
    """Put packages into the queues, named after them."""
    for queue, count in counts.items():
        broker.of_queue(queue).enqueue_many(f"{queue} {number}" for number in range(count))


def queues_of(leases: list[Lease]) -> list[str]:
    """Where they came from."""
    assert all(lease.payload.startswith(f"{lease.queue} ") for lease in leases)
    return [lease.queue for lease in leases]


# In order.


def test_a_queue_waits_until_those_before_it_are_empty(make: Callable[..., Several]) -> None:
    broker = make()
    fill(broker, low=2, default=2, high=2)

    assert queues_of(broker.lease(3)) == ["high", "high", "default"]
    fill(broker, high=1)
    assert queues_of(broker.lease(10)) == ["high", "default", "low", "low"]


def test_what_is_paid_for_is_asked_until_something_came(make: Callable[..., Several]) -> None:
    broker = make(kind=Metered)
    fill(broker, high=1, low=1)

    assert queues_of(broker.lease(10)) == ["high"]
    assert [broker.of_queue(queue).asked for queue in ORDER] == [1, 0, 0]  # type: ignore[attr-defined]


def test_what_is_paid_for_is_waited_for_in_turn(make: Callable[..., Several]) -> None:
    broker = make(kind=Metered)
    began = time.monotonic()

    assert broker.lease(1, broker.idle_wait) == []

    assert 2.5 <= time.monotonic() - began < 5
    # One look at first, one turn each.
    assert [broker.of_queue(queue).asked for queue in ORDER] == [2, 2, 2]  # type: ignore[attr-defined]


# By weight.


@pytest.mark.parametrize("limit", [1, 7, 50])
def test_leases_are_shared_out_by_weight(make: Callable[..., Several], limit: int) -> None:
    broker = make({"high": 3, "default": 1})
    fill(broker, high=400, default=400)

    came: list[str] = []
    while len(came) < 350:
        came += queues_of(broker.lease(limit))
        # Wherever one stops, the shares are right.
        assert abs(came.count("high") - 0.75 * len(came)) <= 1


def test_a_queue_alone_has_all_and_saves_nothing_up(make: Callable[..., Several]) -> None:
    broker = make({"high": 3, "default": 1})
    fill(broker, default=300)
    assert queues_of(broker.lease(100)) == ["default"] * 100

    fill(broker, high=300)

    came = collections.Counter(queues_of(broker.lease(100)))
    assert abs(came["high"] - 75) <= 2


def test_a_low_weight_does_not_starve() -> None:
    shares = Shares({"high": 100, "low": 1})

    due = shares.of(202)

    assert due == {"high": 200, "low": 2}


# Receipts.


def test_receipts_find_their_queue(make: Callable[..., Several]) -> None:
    broker = make()
    fill(broker, high=1, default=1, low=2)
    high, default, low, other = [lease.receipt or "" for lease in broker.lease(4)]

    assert broker.renew([low, "9!x", high, "nonsense"]) == [low, high]
    broker.acknowledge_many([default, low])
    broker.fail(high)
    broker.release([other])

    assert [broker.of_queue(queue).queue_size() for queue in ORDER] == [0, 0, 1]
    assert (broker.queue_size(), broker.lock_size()) == (1, 0)
    assert queues_of(broker.lease(5)) == ["low"]


def test_what_a_holder_has_of_all_queues_is_given_back(make: Callable[..., Several]) -> None:
    broker = make()
    fill(broker, high=1, default=1, low=1)
    broker.lease(3)

    assert broker.release_holder(broker.holder) == 3
    assert broker.queue_size() == 3


def test_what_was_lent_is_not_lost_when_another_queue_is_away(
    make: Callable[..., Several],
) -> None:
    broker = make()
    fill(broker, high=1)
    broker.of_queue("low").is_away = True  # type: ignore[attr-defined]

    assert queues_of(broker.lease(5)) == ["high"]
    with pytest.raises(BrokerUnavailable):
        broker.lease(5)


# Flags, names.


def test_flags_are_those_that_hold_for_all(make: Callable[..., Several]) -> None:
    metered, old = make(kind=Metered), make(kind=Old)

    assert (metered.is_metered, metered.max_lease, metered.can_renew) == (True, 10, True)
    assert (old.can_renew, old.release_counts, old.can_prioritise) == (False, True, True)


def test_it_survives_pickling(make: Callable[..., Several]) -> None:
    broker = make({"high": 3, "default": 1})

    copy = pickle.loads(pickle.dumps(broker))

    assert (copy.list_key, list(copy.queue_names)) == ("default", ["high", "default"])


# Waiting.


@pytest.fixture(params=["redis", "orm", "memory"])
def three(request: pytest.FixtureRequest, q_cluster: Configure, database: str) -> Iterator[Several]:
    """Three queues on a server that waits, or does not."""
    name = BrokerSuite.queue_name()
    settings: dict[str, Any] = {"orm": database}
    if request.param == "redis":
        settings = {"redis": request.getfixturevalue("redis_url")}
    elif request.param == "memory":
        settings = {"broker_class": f"{__name__}.Noted"}
    queues = [f"{name}-{queue}" for queue in ORDER]
    q_cluster(**settings, queues=queues)
    broker = serving_broker("default")
    yield broker  # type: ignore[misc]
    broker.delete_queue()
    broker.close()


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_idle_lease_sees_soon_what_comes_into_any_queue(three: Several, place: int) -> None:
    queue = three.queue_names[place]
    sent: list[float] = []

    def produce() -> None:
        time.sleep(0.3)
        producer = get_broker(queue) if three.is_shared else three.of_queue(queue)
        producer.queue_size()  # opens the connection, which takes its time
        sent.append(time.monotonic())
        producer.enqueue("now")
        if producer is not three.of_queue(queue):
            producer.close()

    thread = threading.Thread(target=produce)
    thread.start()
    leases: list[Lease] = []
    end = time.monotonic() + 5
    while not leases and time.monotonic() < end:
        leases = three.lease(5, three.idle_wait)
    woken = time.monotonic()
    thread.join()

    assert [lease.queue for lease in leases] == [queue]
    assert woken - sent[0] < 0.25 + 0.3  # what a busy machine adds


def test_an_idle_lease_waits_without_asking_all_the_time(make: Callable[..., Several]) -> None:
    broker = make()

    assert broker.lease(1, 1.0) == []

    assert sum(broker.of_queue(queue).asked for queue in ORDER) <= 30  # type: ignore[attr-defined]
