"""A subclass that was written for Django Q's ORM broker goes on working."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections, transaction
from django.utils import timezone

from django_q.brokers.orm import ORM
from django_q.models import OrmQ
from tests.site import databases

pytestmark = pytest.mark.parametrize("database", databases.ALIASES, indirect=True)


class Choosy(ORM):
    """Lends one package at a time, in its own way: receipts are numbers of rows."""

    def dequeue(self) -> Any:
        ready = self.get_connection().filter(key=self.list_key, lock__lt=timezone.now())
        row = ready.order_by("-pk").first()
        if row is not None and ready.filter(pk=row.pk).update(lock=self.timeout(row)):
            return [(row.pk, row.payload)]
        return None


class Chatty(ORM):
    """Adds to what the old methods do."""

    def enqueue(self, task: str) -> str:
        return super().enqueue(f"{task}!")

    def acknowledge(self, task_id: str) -> None:
        super().acknowledge(task_id)
        self.acknowledged = task_id


@pytest.fixture
def choosy(database: str, q_cluster: Callable[..., Any]) -> Choosy:
    q_cluster(orm=database)
    return Choosy("compat")


def test_its_own_dequeue_is_the_one_that_is_called(choosy: Choosy) -> None:
    choosy.enqueue_many("ab")

    (lease,) = choosy.lease(9)

    assert lease.payload == "b"
    assert choosy.renew([lease.receipt]) == [lease.receipt]


def test_numbers_of_rows_are_receipts(choosy: Choosy) -> None:
    choosy.enqueue_many("abc")
    third, second, first = (choosy.lease()[0].receipt for _ in range(3))

    choosy.acknowledge(third)
    choosy.fail(second)
    choosy.release([first])

    row = OrmQ.objects.using(choosy.alias).get(key="compat")
    assert (row.payload, row.deliveries) == ("a", 0)
    assert choosy.queue_size() == 1


def test_a_number_does_not_take_what_was_leased_with_a_token(choosy: Choosy) -> None:
    (id,) = choosy.enqueue_many("a")
    ORM("compat").lease()

    choosy.acknowledge(id)

    assert choosy.lock_size() == 1
    assert choosy.delete(id)


def test_old_methods_that_it_overrides_are_called(
    database: str, q_cluster: Callable[..., Any]
) -> None:
    q_cluster(orm=database)
    broker = Chatty("compat")

    broker.enqueue("a")
    broker.enqueue_many(["b"])

    leases = broker.lease(9)
    assert [lease.payload for lease in leases] == ["a!", "b!"]
    broker.acknowledge_many([lease.receipt for lease in leases])
    assert broker.acknowledged == leases[1].receipt
    assert broker.lock_size() == 0


def test_its_connection_gives_rows_and_leaves_a_transaction_alone(choosy: Choosy) -> None:
    with transaction.atomic(choosy.alias):
        choosy.enqueue("a")
        assert choosy.get_connection().filter(key="compat").count() == 1
        assert connections[choosy.alias].in_atomic_block

    assert choosy.connection.filter(key="compat").count() == 1
