"""The clerk, with real threads: packages in, outcomes out, and leases kept alive."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from django_q.brokers.memory import Memory
from django_q.cluster.outbox import Finished
from django_q.conf import Conf
from django_q.package import build_package
from django_q.recorder import Record
from django_q.sealed import seal_package
from tests.unit.desk import Desk
from tests.waiting import wait_until

Configure = Callable[..., Any]


class Counting(Memory):
    """Notes how many packages each call was about."""

    #: A clerk that is to end is waited for so long.
    idle_wait = 0.2

    def __init__(self, list_key: str | None = None) -> None:
        super().__init__(list_key)
        self.asked: list[tuple[int, float]] = []
        self.acknowledged: list[int] = []

    def lease(self, limit: int = 1, wait: float = 0.0) -> list[Any]:
        self.asked.append((limit, wait))
        return super().lease(limit, wait)

    def acknowledge_many(self, receipts: Any) -> None:
        self.acknowledged.append(len(receipts))
        super().acknowledge_many(receipts)


@pytest.fixture
def broker(database: str, q_cluster: Configure) -> Counting:
    q_cluster()
    return Counting()


@pytest.fixture
def desk(broker: Counting) -> Iterator[Desk]:
    made = Desk(broker)
    yield made
    made.close()


# In.


def test_packages_come_in_their_order_with_all_that_is_known(desk: Desk) -> None:
    ids = desk.broker.enqueue_many([f"package {number}" for number in range(20)])
    desk.start()

    leases = []
    for _ in range(20):
        leases.append(desk.take())
        desk.finish(leases[-1])

    assert [lease and lease.payload for lease in leases] == [f"package {n}" for n in range(20)]
    assert [lease and lease.key for lease in leases] == [f"default:{id}" for id in ids]
    assert all(lease and lease.until > time.monotonic() + Conf.RETRY - 5 for lease in leases)


def test_a_package_that_takes_no_code_comes_opened(desk: Desk) -> None:
    package = build_package("tests.site.tasks.noop", (1,), {}, {})
    desk.broker.enqueue(seal_package(package, desk.clerk.queue))
    desk.start()

    lease = desk.take()

    assert lease is not None and lease.package["id"] == package["id"]
    desk.finish(lease)


def test_a_package_that_comes_later_is_there_at_once(desk: Desk) -> None:
    desk.start()
    assert desk.gets_nothing()

    desk.broker.enqueue("late")
    began = time.monotonic()

    assert desk.take() == (desk.slot.read_holdings().receipts[0], "late")  # type: ignore[union-attr]
    assert time.monotonic() - began < 2


def test_an_idle_worker_waits_at_the_broker_and_does_not_poll(desk: Desk, broker: Counting) -> None:
    desk.start()

    assert desk.gets_nothing(0.7)

    assert 2 <= len(broker.asked) <= 5
    assert set(broker.asked) == {(1, broker.idle_wait)}


def test_while_anything_is_held_it_does_not_wait_at_the_broker(
    desk: Desk, broker: Counting
) -> None:
    broker.enqueue("one")
    desk.start()
    # A main thread that the system stops between taking a package and saying that it is busy.
    lease = desk.clerk.inbox.get(timeout=5)
    broker.asked.clear()

    wait_until(lambda: len(broker.asked) > 2)

    assert {wait for _, wait in broker.asked} == {0.0}
    desk.finish(lease)


def test_what_is_held_stands_on_the_scoreboard_before_it_is_handed_on(desk: Desk) -> None:
    desk.start().quicken()
    desk.broker.enqueue_many(["a", "b", "c"])

    lease = desk.take()
    holdings = desk.slot.read_holdings()

    assert lease is not None and holdings is not None
    assert lease.receipt in holdings.receipts
    assert holdings.holder == desk.broker.holder


def test_quick_work_comes_in_growing_batches(desk: Desk, broker: Counting) -> None:
    desk.start().quicken(300)

    assert max(limit for limit, _ in broker.asked) >= 32
    assert len([1 for limit, _ in broker.asked if limit > 1]) < 60


def test_nothing_is_taken_ahead_behind_a_slow_task(desk: Desk) -> None:
    desk.start().quicken()
    desk.broker.enqueue("slow")
    desk.take()
    time.sleep(0.15)

    desk.broker.enqueue("another's")

    assert desk.gets_nothing(0.5)
    assert desk.broker.queue_size() == 1


# Out.


def test_an_outcome_is_settled_at_once_when_nothing_else_waits(desk: Desk) -> None:
    desk.broker.enqueue("one")
    desk.start()

    desk.finish(desk.take())
    desk.clerk.busy_since = 0.0

    wait_until(lambda: desk.broker.lock_size() == 0, 2.0)


def test_outcomes_of_quick_work_are_settled_together(desk: Desk, broker: Counting) -> None:
    desk.start().quicken(400)

    assert sum(broker.acknowledged) >= 400
    assert len(broker.acknowledged) < sum(broker.acknowledged) / 4


def test_an_outcome_behind_a_running_task_is_settled_soon(desk: Desk) -> None:
    desk.start().quicken()
    desk.broker.enqueue_many(["quick", "slow"])

    desk.finish(desk.take())
    desk.take()

    wait_until(lambda: desk.broker.lock_size() == 1, 3.0)


def test_who_waits_for_an_outcome_is_told(desk: Desk) -> None:
    desk.broker.enqueue("hooked")
    desk.start()
    lease = desk.take()
    assert lease is not None
    settled = threading.Event()

    desk.clerk.hand_over(Finished(Record(None, lease.receipt), lease.receipt, None, settled))

    assert settled.wait(3.0)
    assert desk.broker.lock_size() == 0


# Renewal.


@pytest.fixture
def brief(broker: Counting, q_cluster: Configure) -> None:
    """Leases that lapse after a second."""
    q_cluster(retry=1.0)


@pytest.mark.usefixtures("brief")
def test_a_lease_is_renewed_while_its_task_runs(desk: Desk) -> None:
    desk.broker.enqueue("long")
    desk.start()
    lease = desk.take()
    assert lease is not None
    end = time.monotonic() + 2.5

    while time.monotonic() < end:
        assert desk.broker.queue_size() == 0
        assert lease.until > time.monotonic()
        time.sleep(0.02)

    desk.finish(lease)
    desk.rest()
    wait_until(lambda: desk.broker.lock_size() == 0)


@pytest.mark.usefixtures("brief")
def test_a_lease_that_was_lost_says_so(desk: Desk) -> None:
    desk.broker.enqueue("stolen")
    desk.start()
    lease = desk.take()
    assert lease is not None and lease.receipt is not None

    desk.broker.release([lease.receipt])
    (others,) = Memory.lease(desk.broker)  # type: ignore[arg-type]

    wait_until(lambda: lease.until == 0.0, 5.0)
    assert others.deliveries == 1
    assert desk.broker.renew([str(others.receipt)])
