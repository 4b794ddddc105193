"""What the housekeeper makes of packages that were kept until they are due."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from django_q.brokers.memory import Memory
from django_q.brokers.orm import ORM
from django_q.brokers.partly import partly
from django_q.cluster.delayed import DelayedPackages
from django_q.cluster.duty import Duty, News
from django_q.exceptions import BrokerUnavailable, PayloadTooLarge
from django_q.models import Delayed, Rejected
from tests.site import databases

Configure = Callable[..., Any]


class Picky(Memory):
    """Takes no package that is called "large", and none at all when it is away."""

    is_away = False
    #: Packages that it takes until it goes away, by turns as several calls of a client would.
    takes: float = math.inf
    calls = 0

    def enqueue_many(self, tasks: Any, *, delay: float = 0.0, priority: int = 0) -> list[str]:
        """Keep them all, or none; but for those that it takes before it goes away."""
        payloads = list(tasks)
        self.calls += 1
        if self.is_away:
            raise BrokerUnavailable("Away.")
        if len(payloads) > self.takes:
            with partly() as kept:
                kept += super().enqueue_many(payloads[: int(self.takes)], priority=priority)
                raise BrokerUnavailable("Went away.")
        self.takes -= len(payloads)
        if "large" in payloads:
            raise PayloadTooLarge("Too large.")
        return super().enqueue_many(payloads, priority=priority)


@pytest.fixture
def broker(database: str, q_cluster: Configure) -> Iterator[Picky]:
    """A broker with an empty queue."""
    q_cluster(broker_class=f"{__name__}.Picky")
    yield Picky("mail")
    connections[database].close()


def later(payload: str, seconds: float, priority: int = 0, queue: str = "mail") -> None:
    """Keep a package until it is due."""
    due = timezone.now() + timedelta(seconds=seconds)
    Delayed.objects.create(task="t", queue=queue, payload=payload, due=due, priority=priority)


def came(broker: Memory) -> list[str]:
    """What reached the queue."""
    return [lease.payload for lease in broker.lease(1000)]


@pytest.mark.parametrize("database", databases.ALIASES, indirect=True)
def test_what_is_due_is_handed_on_by_priority(broker: Picky) -> None:
    later("b", -1)
    later("a", -2)
    later("first", -1, 5)
    later("not yet", 60)
    later("of others", -1, queue="other")

    DelayedPackages(broker).look()

    assert came(broker) == ["first", "a", "b"]
    assert sorted(Delayed.objects.values_list("payload", flat=True)) == ["not yet", "of others"]


def test_more_than_a_batch_is_handed_on_in_one_look(broker: Picky) -> None:
    for number in range(500):
        later(str(number), -60 + number / 100)

    DelayedPackages(broker).look()

    assert came(broker) == [str(number) for number in range(500)]
    assert broker.calls < 10


def test_one_that_is_too_large_holds_nobody_up(broker: Picky) -> None:
    for payload in ("a", "large", "b"):
        later(payload, -1)

    DelayedPackages(broker).look()

    assert came(broker) == ["a", "b"]
    assert not Delayed.objects.exists()
    assert Rejected.objects.get().payload == "large"


def test_nothing_is_lost_while_the_broker_is_away(broker: Picky) -> None:
    later("a", -1)
    broker.is_away = True
    delayed = DelayedPackages(broker)

    with pytest.raises(BrokerUnavailable):
        delayed.look()
    broker.is_away = False
    delayed.look()

    assert came(broker) == ["a"]
    assert not Delayed.objects.exists()


@pytest.mark.parametrize("database", databases.ALIASES, indirect=True)
def test_what_the_broker_took_before_it_went_away_is_not_sent_again(broker: Picky) -> None:
    for payload, priority in [("a", 5), ("b", 5), ("c", 0), ("d", 0), ("e", 0)]:
        later(payload, -1, priority)
    broker.takes = 3
    delayed = DelayedPackages(broker)

    with pytest.raises(BrokerUnavailable, match="Went away"):
        delayed.look()
    assert list(Delayed.objects.order_by("payload").values_list("payload", flat=True)) == ["d", "e"]
    broker.takes = math.inf
    delayed.look()

    assert came(broker) == ["a", "b", "c", "d", "e"]
    assert not Delayed.objects.exists()


class PickyORM(ORM):
    """Keeps what is urgent, and fails at the rest."""

    def enqueue_many(self, tasks: Any, *, delay: float = 0.0, priority: int = 0) -> list[str]:
        """Keep them all, or none."""
        if not priority:
            raise BrokerUnavailable("Went away.")
        return super().enqueue_many(tasks, delay=delay, priority=priority)


@pytest.mark.parametrize("database", databases.ALIASES, indirect=True)
def test_what_a_broker_took_in_the_same_transaction_goes_back(
    database: str, q_cluster: Configure
) -> None:
    q_cluster(orm=database, broker_class=f"{__name__}.PickyORM")
    broker = PickyORM("mail")
    later("a", -1, 5)
    later("b", -1)

    with pytest.raises(BrokerUnavailable, match="Went away"):
        DelayedPackages(broker).look()

    assert Delayed.objects.count() == 2
    assert broker.queue_size() == 0
    connections[database].close()


def test_a_package_is_noticed_and_handed_on_in_time(broker: Picky) -> None:
    delayed = DelayedPackages(broker)
    looking = Duty(News(), "looking", 0.5, delayed.look)
    looking.do_when_due()
    later("soon", 0.2)

    end = time.monotonic() + 5
    while not broker.queue_size() and time.monotonic() < end:
        looking.do_when_due()
        time.sleep(0.01)

    # Kept just after a look: it is noticed with the next, half a second later.
    assert 0.2 <= 5 - (end - time.monotonic()) < 0.5 + 1.0


@pytest.mark.parametrize("database", databases.ALIASES, indirect=True)
def test_two_clusters_hand_each_on_once(broker: Picky, database: str) -> None:
    for number in range(300):
        later(str(number), -60 + number / 100)

    def work() -> None:
        delayed = DelayedPackages(broker)
        end = time.monotonic() + 20
        while Delayed.objects.exists() and time.monotonic() < end:
            delayed.look()
        connections[database].close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(came(broker), key=int) == [str(number) for number in range(300)]
