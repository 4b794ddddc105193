"""The ORM broker keeps the contract on every database, and what is its own."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections, transaction
from django.test import override_settings
from django.utils import timezone

from django_q.brokers.base import Broker
from django_q.brokers.orm import ORM
from django_q.models import Heartbeat, OrmQ
from django_q.testing import BrokerSuite
from tests.site import databases
from tests.waiting import wait_until

on_every_database = pytest.mark.parametrize("database", databases.ALIASES, indirect=True)


@on_every_database
class TestORM(BrokerSuite):
    """SQLite, PostgreSQL, MariaDB."""

    @pytest.fixture(autouse=True)
    def _chosen(self, database: str, q_cluster: Callable[..., Any]) -> Iterator[None]:
        q_cluster(orm=database)
        self.alias = database
        with contextlib.ExitStack() as self.for_this_test:
            yield

    def make_broker(self) -> Broker:
        return ORM(self.queue_name())

    def make_dead_broker(self) -> Broker:
        nowhere = {"NAME": "/nowhere/at/all"} if self.alias == "default" else {"PORT": 1}
        broker = ORM(self.queue_name())
        broker.alias = f"dead {self.alias}"
        entry = {**connections.settings[self.alias], **nowhere}
        self.for_this_test.enter_context(databases.guest(broker.alias, entry))
        return broker

    def in_child(self, work: Callable[[], Any]) -> Callable[[], Any]:
        # As the cluster does: a connection is nothing to share with a fork.
        connections.close_all()
        return super().in_child(work)

    def test_two_processes_share_five_thousand(self) -> None:
        payloads = [str(number) for number in range(5000)]
        self.broker.enqueue_many(payloads)

        finish = [self.in_child(functools.partial(self._drain, self.another(), [])) for _ in "ab"]

        assert sorted(sum((result() for result in finish), [])) == sorted(payloads)


@pytest.fixture
def broker(database: str, q_cluster: Callable[..., Any]) -> ORM:
    """A broker on an empty queue."""
    q_cluster(orm=database)
    return ORM(BrokerSuite.queue_name())


def _row(broker: ORM) -> OrmQ:
    return OrmQ.objects.using(broker.alias).get(key=broker.list_key)


# Rows.


@on_every_database
def test_a_row_says_what_it_is(broker: ORM) -> None:
    broker.enqueue("waits")
    row = _row(broker)
    assert (row.token, row.deliveries) == (None, 0)
    assert abs(row.lock - timezone.now()) < timedelta(seconds=5)

    (lease,) = broker.lease()
    row = _row(broker)
    assert lease.receipt == f"{row.pk}:{row.token}"
    assert row.token.startswith(f"{broker.holder}.")
    assert row.deliveries == 1
    assert abs(row.lock - timezone.now() - timedelta(seconds=60)) < timedelta(seconds=5)

    broker.release([lease.receipt], 30)
    row = _row(broker)
    assert (row.token, row.deliveries) == (None, 0)
    assert abs(row.lock - timezone.now() - timedelta(seconds=30)) < timedelta(seconds=5)


@on_every_database
def test_a_row_of_another_producer_is_leased(broker: ORM) -> None:
    rows = OrmQ.objects.using(broker.alias)
    rows.create(key=broker.list_key, payload="theirs", lock=timezone.now())
    rows.create(key="another queue", payload="not ours", lock=timezone.now())

    assert [(lease.payload, lease.deliveries) for lease in broker.lease(9)] == [("theirs", 1)]


@on_every_database
def test_a_row_without_lock_is_on_hold(broker: ORM) -> None:
    OrmQ.objects.using(broker.alias).create(key=broker.list_key, payload="held", lock=None)

    assert broker.lease(9) == []
    assert broker.lease(9, 0.05) == []
    assert (broker.queue_size(), broker.lock_size()) == (0, 0)


@on_every_database
def test_what_was_given_back_keeps_the_order_in_which_it_came(broker: ORM) -> None:
    broker.enqueue_many("abcdef")
    first, second = (ORM(broker.list_key).lease(2) for _ in range(2))

    broker.release([lease.receipt for lease in reversed(second)])
    broker.release([lease.receipt for lease in reversed(first)])

    assert [lease.payload for lease in broker.lease(9)] == list("abcdef")


@on_every_database
def test_many_receipts_are_taken_at_once(broker: ORM) -> None:
    broker.enqueue_many(str(number) for number in range(1000))
    leases = [lease for _ in range(4) for lease in broker.lease(1000)]
    receipts = [lease.receipt for lease in leases]
    broker.acknowledge_many(receipts[:10])

    assert broker.renew(["nonsense", "0" * 32, *reversed(receipts)]) == receipts[:9:-1]

    broker.acknowledge_many(["nonsense", *receipts])
    assert broker.lock_size() == 0


@on_every_database
def test_many_packages_come_out_as_they_went_in(broker: ORM) -> None:
    odd = [
        '"quoted"',
        "back\\slash",
        "{braces,}",
        "%s %",
        "Grüße \U0001f600",
        "a\nb\tc",
        "",
        "null",
    ]
    one_by_one = ORM(f"{broker.list_key}-apart")

    ids = broker.enqueue_many(odd)
    for payload in odd:
        one_by_one.enqueue(payload)

    leases = broker.lease(len(odd))
    assert [lease.payload for lease in leases] == odd
    assert [lease.payload for lease in one_by_one.lease(len(odd))] == odd
    assert [lease.id for lease in leases] == ids


@on_every_database
def test_a_strange_receipt_does_no_harm(broker: ORM) -> None:
    broker.enqueue("package")
    (lease,) = broker.lease()
    strange = [f"{lease.id}:{text}" for text in ('"', "\\", "'", "{,}", "%s", "]")]

    broker.acknowledge_many(strange)

    assert broker.renew([*strange, lease.receipt]) == [lease.receipt]


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_the_table_of_the_queue_is_made_for_rows_that_come_and_go(broker: ORM) -> None:
    with connections[broker.alias].cursor() as cursor:
        cursor.execute("SELECT reloptions FROM pg_class WHERE relname = 'django_q_ormq'")
        ((options,),) = cursor.fetchall()
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE tablename = 'django_q_task'")
        indexes = [text for (text,) in cursor.fetchall()]

    assert {"fillfactor=50", "autovacuum_vacuum_scale_factor=0"} <= set(options)
    assert indexes
    assert not [text for text in indexes if "pattern_ops" in text]


@on_every_database
def test_expired_heartbeats_go_when_a_new_one_comes(broker: ORM) -> None:
    broker.set_stat("old", "1", -1)
    broker.set_stat("a_", "2", 30)
    broker.set_stat("ab", "3", 30)

    assert set(Heartbeat.objects.using(broker.alias).values_list("key", flat=True)) == {"a_", "ab"}
    assert broker.get_stats("a_*") == ["2"]


@on_every_database
def test_info_names_alias_and_database(broker: ORM) -> None:
    version = ".".join(map(str, connections[broker.alias].get_database_version()))

    assert broker.info().startswith(f"ORM {broker.alias} (")
    assert broker.info().endswith(f" {version})")


# Time.


@on_every_database
@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York"])
def test_local_times_do_as_well(broker: ORM, zone: str) -> None:
    with override_settings(USE_TZ=False, TIME_ZONE=zone):
        broker.enqueue_many(["later"], delay=0.5)
        OrmQ.objects.using(broker.alias).create(
            key=broker.list_key, payload="theirs", lock=timezone.now()
        )
        assert [lease.payload for lease in broker.lease(9)] == ["theirs"]
        assert abs(_lock(broker, "theirs") - broker.timeout(None)) < timedelta(seconds=5)

        assert [lease.payload for lease in broker.lease(9, 2.0)] == ["later"]
        assert (broker.queue_size(), broker.lock_size()) == (0, 2)


def _lock(broker: ORM, payload: str) -> Any:
    return OrmQ.objects.using(broker.alias).get(payload=payload).lock


# Transactions.


@on_every_database
def test_what_is_enqueued_in_a_transaction_belongs_to_it(broker: ORM) -> None:
    with transaction.atomic(broker.alias):
        broker.enqueue_many(["rolled back"] * 301)
        transaction.set_rollback(True, broker.alias)
    with transaction.atomic(broker.alias):
        broker.enqueue("committed")

    assert [lease.payload for lease in broker.lease(9)] == ["committed"]


@on_every_database
def test_an_acknowledgement_in_a_transaction_belongs_to_it(broker: ORM) -> None:
    broker.enqueue("a")
    (lease,) = broker.lease()

    with transaction.atomic(broker.alias):
        broker.acknowledge_many([lease.receipt])
        transaction.set_rollback(True, broker.alias)

    assert broker.renew([lease.receipt]) == [lease.receipt]


@on_every_database
def test_a_transaction_may_lease_too(broker: ORM) -> None:
    with transaction.atomic(broker.alias):
        broker.enqueue_many(["a", "b"])

        leases = broker.lease(9, 1.0)
        assert [lease.payload for lease in leases] == ["a", "b"]
        assert broker.lease(9, 0.05) == []
        broker.close()
        broker.acknowledge_many([lease.receipt for lease in leases])

    wait_until(lambda: broker.lock_size() == 0)
