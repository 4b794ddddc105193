"""The clerk gives back: at a stop, behind a slow task, and when things go wrong."""

import contextlib
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from django_q.brokers import Broker, Lease
from django_q.brokers.memory import Memory
from django_q.cluster import clerk
from django_q.exceptions import BrokerUnavailable
from tests.unit.desk import Desk
from tests.waiting import LIMIT, wait_until

Configure = Callable[..., Any]


class Moody(Memory):
    """Can be switched off."""

    idle_wait = 0.2
    is_away = False
    trouble: Exception = BrokerUnavailable("The broker is away.")

    def _check(self) -> None:
        if self.is_away:
            raise self.trouble

    def lease(self, limit: int = 1, wait: float = 0.0) -> list[Lease]:
        self._check()
        return super().lease(limit, wait)

    def acknowledge_many(self, receipts: Sequence[str]) -> None:
        self._check()
        super().acknowledge_many(receipts)

    def renew(self, receipts: Sequence[str]) -> list[str]:
        self._check()
        return super().renew(receipts)

    def release(
        self, receipts: Sequence[str], delay: float = 0.0, *, counted: bool = False
    ) -> None:
        self._check()
        super().release(receipts, delay, counted=counted)


@pytest.fixture
def broker(database: str, q_cluster: Configure) -> Moody:
    q_cluster()
    return Moody()


@pytest.fixture
def desk(broker: Moody) -> Iterator[Desk]:
    made = Desk(broker)
    yield made
    broker.is_away = False
    made.close()


def hold_many(desk: Desk) -> Lease:
    """Bring the desk to hold several packages, the first of which runs; give that one."""
    desk.start()
    desk.quicken()
    desk.broker.enqueue_many(["running", "second", "third", "fourth"])
    lease = desk.take()
    assert lease is not None
    wait_until(lambda: desk.clerk.inbox.qsize() == 3, what="the others to be held")
    return lease


def waiting(broker: Broker) -> list[tuple[str, int]]:
    """Take what waits at the broker: payload and how often it was delivered."""
    return [(lease.payload, lease.deliveries) for lease in broker.lease(100)]


def held(desk: Desk) -> tuple[str, ...]:
    """Give what the slot says is held: the housekeeper gives that back after a death."""
    holdings = desk.slot.read_holdings()
    return () if holdings is None else holdings.receipts


# Giving back.


def test_what_waits_a_second_behind_a_task_is_given_back_uncharged(desk: Desk) -> None:
    running = hold_many(desk)
    began = time.monotonic()

    wait_until(lambda: desk.broker.queue_size() == 3, 5.0)

    assert time.monotonic() - began > 0.8
    wait_until(lambda: held(desk) == (running.receipt,), what="the slot to say so")
    assert waiting(desk.broker) == [("second", 1), ("third", 1), ("fourth", 1)]
    assert desk.broker.renew([str(running.receipt)])


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits is not given back for having waited long."""
    monkeypatch.setattr(clerk, "_LONGEST_WAIT", 600.0)


@pytest.mark.usefixtures("patient")
def test_a_stop_gives_back_at_once_what_has_not_started(desk: Desk) -> None:
    running = hold_many(desk)

    desk.clerk.stop()

    wait_until(lambda: desk.broker.queue_size() == 3, 5.0)
    assert desk.broker.lock_size() == 1
    desk.finish(running)
    desk.clerk.finish()
    assert not desk.clerk.is_alive()
    assert waiting(desk.broker) == [("second", 1), ("third", 1), ("fourth", 1)]
    assert desk.broker.lock_size() == 3


@pytest.mark.usefixtures("patient")
def test_a_stop_of_the_cluster_is_seen_without_a_signal(desk: Desk) -> None:
    hold_many(desk)

    desk.board.say_stopping()

    wait_until(lambda: desk.broker.queue_size() == 3, 5.0)


def test_a_stop_of_the_cluster_lets_an_idle_main_thread_go(desk: Desk) -> None:
    desk.start()

    desk.board.say_stopping()

    assert desk.clerk.inbox.get(timeout=5.0) is None


def test_nothing_is_leased_after_a_stop(desk: Desk) -> None:
    desk.start()
    desk.clerk.stop()
    time.sleep(0.3)

    desk.broker.enqueue("late")

    assert desk.gets_nothing()
    assert desk.broker.queue_size() == 1


def test_the_main_thread_can_give_a_lease_back(desk: Desk) -> None:
    desk.broker.enqueue("not now")
    desk.start()
    lease = desk.take()
    assert lease is not None

    desk.clerk.give_back(lease)
    desk.clerk.busy_since = 0.0

    again = desk.take()
    assert again == (again and again.receipt, "not now")
    assert again is not None and again.deliveries == 1


def test_the_end_waits_for_what_is_not_settled(desk: Desk, broker: Moody) -> None:
    desk.broker.enqueue("one")
    desk.start()
    lease = desk.take()
    broker.is_away = True
    desk.finish(lease)
    threading.Timer(0.4, setattr, (broker, "is_away", False)).start()

    desk.clerk.finish()

    assert broker.lock_size() == 0


def test_the_holder_is_known_before_its_first_lease(desk: Desk) -> None:
    desk.start()

    wait_until(lambda: desk.slot.read_holdings() is not None)
    assert desk.slot.read_holdings() == (desk.broker.holder, ())


def test_more_than_the_scoreboard_holds_is_given_back(q_cluster: Configure) -> None:
    q_cluster()
    wordy = Moody()
    wordy.holder = "h" * 700
    wordy.enqueue_many([f"package {number}" for number in range(300)])
    with contextlib.closing(Desk(wordy).start()) as desk:
        for _ in range(200):
            desk.finish(desk.take())

        holdings = desk.slot.read_holdings()

    assert holdings is not None and len(holdings.receipts) < 100
    assert wordy.lock_size() == 0
    assert wordy.queue_size() == 100


# Trouble.


@pytest.mark.parametrize("trouble", [BrokerUnavailable("Away."), OSError("Of its client.")])
def test_a_broker_that_is_away_is_asked_again(
    desk: Desk, broker: Moody, caplog: pytest.LogCaptureFixture, trouble: Exception
) -> None:
    # The first failure is news; others are told once a minute.
    caplog.set_level("DEBUG", "django-q")
    broker.is_away, broker.trouble = True, trouble
    desk.start()
    wait_until(lambda: len(caplog.records) >= 3, what="three tries")
    assert f"{trouble} Next try in 0.1 s." in caplog.messages[0]

    broker.is_away = False
    broker.enqueue("after all")

    assert desk.take() is not None
    wait_until(lambda: "The broker answers again" in caplog.messages)
    assert len(caplog.records) < 10


def test_an_outcome_outlives_a_broker_that_is_away(desk: Desk, broker: Moody) -> None:
    broker.enqueue("one")
    desk.start()
    lease = desk.take()
    broker.is_away = True

    desk.finish(lease)
    desk.rest()
    time.sleep(0.3)
    assert broker.lock_size() == 1

    broker.is_away = False
    wait_until(lambda: broker.lock_size() == 0)


# The end of the process.


def in_a_process(run: Callable[[Moody], None]) -> int | None:
    """Run a function in a forked process of its own group; give its exit code."""
    process = multiprocessing.get_context("fork").Process(target=_apart, args=(run,))
    process.start()
    process.join(LIMIT)
    return process.exitcode


def _apart(run: Callable[[Moody], None]) -> None:
    os.setpgid(0, 0)
    run(Moody())


def _lose_the_supervisor(broker: Moody) -> None:
    desk = Desk(broker)
    hold_many(desk)
    desk.clerk.busy_since = 0.0
    desk.supervisor.close()
    time.sleep(LIMIT)


def _break_the_clerk(broker: Moody) -> None:
    desk = Desk(broker)
    desk.clerk._room = None  # type: ignore[assignment]
    desk.start()
    time.sleep(LIMIT)


def test_a_worker_leaves_when_its_supervisor_is_gone() -> None:
    assert in_a_process(_lose_the_supervisor) == 0


def test_a_defect_of_the_clerk_ends_the_worker() -> None:
    assert in_a_process(_break_the_clerk) == clerk.EXIT_CLERK_FAILED
