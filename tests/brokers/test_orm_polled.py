"""The ORM broker keeps the contract on SQLite, too, where the kernel tells nothing of commits."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections

from django_q.brokers import orm_wait
from django_q.brokers.base import Broker
from django_q.brokers.orm import ORM
from django_q.brokers.orm_changes import ChangeCounter
from django_q.testing import BrokerSuite
from tests.site import databases


class TestPolledORM(BrokerSuite):
    """SQLite, of which consumers ask again and again."""

    @pytest.fixture(autouse=True)
    def _chosen(
        self, database: str, q_cluster: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[None]:
        q_cluster(orm=database)
        monkeypatch.setitem(orm_wait._WATCHES, "sqlite", ChangeCounter)
        with contextlib.ExitStack() as self.for_this_test:
            yield

    def make_broker(self) -> Broker:
        return ORM(self.queue_name())

    def make_dead_broker(self) -> Broker:
        broker = ORM(self.queue_name())
        broker.alias = "dead"
        entry = {**connections.settings["default"], "NAME": "/nowhere/at/all"}
        self.for_this_test.enter_context(databases.guest(broker.alias, entry))
        return broker

    def in_child(self, work: Callable[[], Any]) -> Callable[[], Any]:
        # As the cluster does: a connection is nothing to share with a fork.
        connections.close_all()
        return super().in_child(work)
