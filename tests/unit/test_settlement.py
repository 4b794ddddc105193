"""Settling: what follows an outcome, and what of it may fail."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.utils import timezone

from django_q.brokers.memory import Memory
from django_q.cluster.settlement import Settlement
from django_q.exceptions import BrokerUnavailable, PayloadTooLarge, ResultsUnavailable
from django_q.models import Rejected
from django_q.package import Follower, Outcome, build_package
from django_q.recorder import Record, make_stores, prepare
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("database")


class Narrow(Memory):
    """Takes ten letters at most."""

    def enqueue_many(
        self, tasks: Iterable[str], *, delay: float = 0.0, priority: int = 0
    ) -> list[str]:
        """Keep them, all or none."""
        kept = list(tasks)
        if any(len(task) > 10 for task in kept):
            raise PayloadTooLarge("It has more than 10 letters.")
        return super().enqueue_many(kept, delay=delay, priority=priority)


@pytest.fixture
def broker(q_cluster: Any) -> Narrow:
    """A broker with one package, which is leased."""
    q_cluster()
    made = Narrow("default")
    made.enqueue("one")
    return made


def test_what_its_broker_never_takes_is_kept_and_holds_no_outcome_up(broker: Narrow) -> None:
    (lease,) = broker.lease(1)
    followers = (Follower("default", "short"), Follower("default", "much too long"))

    Settlement(broker, make_stores()).settle([Record(None, lease.receipt, followers=followers)])

    assert broker.lock_size() == 0
    assert [lease.payload for lease in broker.lease(5)] == ["short"]
    kept = Rejected.objects.get()
    assert (kept.payload, kept.reason) == ("much too long", "It has more than 10 letters.")


def test_what_the_housekeeper_does_too_is_no_reason_to_send_all_once_more(broker: Narrow) -> None:
    (lease,) = broker.lease(1)
    record = Record(
        None, lease.receipt, followers=(Follower("default", "next"),), ledger_key="default:x"
    )
    away = ResultsUnavailable("not today")

    with mock.patch("django_q.results.ledger.forget", side_effect=away):
        Settlement(broker, make_stores()).settle([record])

    assert [lease.payload for lease in broker.lease(5)] == ["next"]


class Forgetful(Memory):
    """Is away once: when it is to acknowledge, or to take packages with this delay."""

    away = ""

    def acknowledge_many(self, receipts: Sequence[str]) -> None:
        """End leases."""
        self._fail_once("acknowledge")
        super().acknowledge_many(receipts)

    def enqueue_many(
        self, tasks: Iterable[str], *, delay: float = 0.0, priority: int = 0
    ) -> list[str]:
        """Keep packages."""
        self._fail_once(str(delay))
        return super().enqueue_many(tasks, delay=delay, priority=priority)

    def _fail_once(self, what: str) -> None:
        if self.away == what:
            self.away = ""
            raise BrokerUnavailable("not today")


@pytest.mark.parametrize("away", ["acknowledge", "0.01"])
def test_what_was_sent_is_not_sent_again_whatever_fails_after_it(q_cluster: Any, away: str) -> None:
    q_cluster()
    broker = Forgetful("default")
    broker.enqueue("one")
    (lease,) = broker.lease(1)
    followers = (Follower("default", "now"), Follower("default", "later", 0.01))
    record = Record(None, lease.receipt, followers=followers)
    settlement = Settlement(broker, make_stores())
    broker.away = away

    with pytest.raises(BrokerUnavailable):
        settlement.settle([record])
    settlement.settle([record])

    wait_until(lambda: broker.queue_size() == 2, what="what was delayed")
    assert sorted(lease.payload for lease in broker.lease(5)) == ["later", "now"]


class Stumbling(Memory):
    """Takes one package after the other, and raises once: at "third"."""

    error: Exception | None = None

    def enqueue(self, task: str) -> str:
        """Keep it."""
        if task == "third" and self.error is not None:
            error, self.error = self.error, None
            raise error
        return Memory.enqueue_many(self, [task])[0]


@pytest.mark.parametrize(
    "error", [BrokerUnavailable("not today"), OSError("of a client"), PayloadTooLarge("no")]
)
def test_what_a_broker_took_before_it_failed_is_not_sent_again(
    q_cluster: Any, error: Exception
) -> None:
    q_cluster()
    broker = Stumbling("default")
    broker.enqueue("one")
    (lease,) = broker.lease(1)
    words = ["first", "second", "third", "fourth"]
    followers = tuple(Follower("default", word) for word in words)
    record = Record(None, lease.receipt, followers=followers)
    settlement = Settlement(broker, make_stores())
    broker.error = error

    if not isinstance(error, PayloadTooLarge):  # then each is sent alone
        with pytest.raises(type(error)):
            settlement.settle([record])
    settlement.settle([record])

    assert [lease.payload for lease in broker.lease(9)] == words


def test_what_follows_a_run_beside_the_one_in_the_books_comes_late(broker: Narrow) -> None:
    """Two copies of a chain would go on side by side to its end."""
    (lease,) = broker.lease(1)
    package = build_package("tests.site.tasks.noop", (), {}, {})
    now = timezone.now()
    _, first = prepare(Outcome(package, True, None, now, now))
    later = now + timedelta(seconds=3)
    _, second = prepare(Outcome(package, True, None, now, later), lease)
    settlement, sent = Settlement(broker, make_stores()), []
    settlement.settle([first])

    def send(to: Narrow, followers: Sequence[Follower]) -> None:
        sent.extend(followers)

    with mock.patch("django_q.cluster.settlement.dispatch", send):
        settlement.settle([second._replace(followers=(Follower("default", "next"),))])

    assert sent == [Follower("default", "next", 11.0)]
    assert broker.lock_size() == 0


def test_of_two_runs_in_one_batch_the_first_is_followed_at_once(broker: Narrow) -> None:
    package = build_package("tests.site.tasks.noop", (), {}, {})
    now, sent = timezone.now(), []
    runs = [
        prepare(Outcome(package, True, None, now, now + timedelta(seconds=n)))[1]._replace(
            followers=(Follower("default", f"after {n}"),)
        )
        for n in range(2)
    ]

    def send(to: Narrow, followers: Sequence[Follower]) -> None:
        sent.extend(followers)

    with mock.patch("django_q.cluster.settlement.dispatch", send):
        Settlement(broker, make_stores()).settle(runs)

    assert [(follower.payload, follower.delay) for follower in sent] == [
        ("after 0", 0.0),
        ("after 1", 7.0),
    ]


def test_what_is_settled_is_forgotten(broker: Narrow) -> None:
    settlement = Settlement(broker, make_stores())

    for _ in range(2):  # of a package that was delivered twice, too
        broker.enqueue("one")
        lease = broker.lease(5)[-1]
        after = (Follower("default", "next"),)
        settlement.settle([Record(None, lease.receipt, followers=after)])

    assert broker.queue_size() + broker.lock_size() == 3
