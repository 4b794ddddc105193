"""The ORM broker keeps the contract on every database."""

import functools
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections

from django_q.brokers.base import Broker
from django_q.brokers.orm import ORM
from django_q.testing import BrokerSuite
from tests.site import databases


class DeadORM(ORM):
    """A broker whose server is not there."""

    alias = "dead"


@pytest.mark.parametrize("database", databases.ALIASES, indirect=True)
class TestORM(BrokerSuite):
    """SQLite, PostgreSQL, MariaDB."""

    @pytest.fixture(autouse=True)
    def _chosen(self, database: str, q_cluster: Callable[..., Any]) -> None:
        q_cluster(orm=database)
        self.alias = database

    def make_broker(self) -> Broker:
        return ORM(self.queue_name())

    def make_dead_broker(self) -> Broker:
        nowhere = {"NAME": "/nowhere/at/all"} if self.alias == "default" else {"PORT": 1}
        connections.settings["dead"] = {**connections.settings[self.alias], **nowhere}
        if hasattr(connections._connections, "dead"):
            del connections["dead"]
        return DeadORM(self.queue_name())

    def in_child(self, work: Callable[[], Any]) -> Callable[[], Any]:
        # As the cluster does: a connection is nothing to share with a fork.
        connections.close_all()
        return super().in_child(work)
