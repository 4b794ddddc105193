"""The clerk on a broker without receipts: what it gives back is put in anew, and once."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from django_q.brokers import Broker
from django_q.exceptions import BrokerUnavailable
from tests.unit.desk import Desk
from tests.waiting import wait_until

Configure = Callable[..., Any]


class Plain(Broker):
    """A list in this process, without receipts, as Django Q had it in Redis."""

    def __init__(self, list_key: str | None = None) -> None:
        super().__init__(list_key)
        self.waiting: list[str] = []
        #: Whether it is away, call by call.
        self.failures: Iterator[bool] = iter(())

    def enqueue(self, task: str) -> str:
        if next(self.failures, False):
            raise BrokerUnavailable("The broker is away.")
        self.waiting.append(task)
        return ""

    def dequeue(self) -> Any:
        time.sleep(0.01)
        return [(None, self.waiting.pop(0))] if self.waiting else None

    def queue_size(self) -> int:
        return len(self.waiting)


def test_what_has_no_receipt_is_put_into_the_queue_anew(q_cluster: Configure) -> None:
    q_cluster(poll=0.01)
    plain = Plain()
    plain.waiting = ["first", "second", "third"]
    with contextlib.closing(Desk(plain).start()) as desk:
        assert desk.take() == (None, "first")
        desk.rest()
        wait_until(lambda: desk.clerk.inbox.qsize() == 1)

    assert plain.waiting == ["third", "second"]


def test_what_has_no_receipt_is_put_in_anew_once_whatever_fails(q_cluster: Configure) -> None:
    q_cluster(poll=0.01)
    plain = Plain()
    plain.waiting = ["first", "second", "third", "fourth"]
    with contextlib.closing(Desk(plain, places=4)) as desk:
        desk.clerk.free = 4
        desk.start()
        leases = [desk.take() for _ in range(4)]
        plain.failures = iter([False, True, False, False, True, False, False])

        for lease in leases:
            desk.clerk.give_back(lease)
        desk.clerk.stop()
        desk.clerk.finish()

    assert sorted(plain.waiting) == ["first", "fourth", "second", "third"]
