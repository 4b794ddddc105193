"""The brokers under test: what the seam lets each of them do, and how its time is moved."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

from django.db.models import F

from django_q.brokers.base import Broker
from django_q.models import OrmQ
from tests.properties.reference import Clock, Reference

#: Makes all that is kept on a Redis server so much older: its clock cannot be moved.
_AGE = """
for _, key in ipairs(KEYS) do
  for _, id in ipairs(redis.call('ZRANGE', key, 0, -1)) do
    redis.call('ZINCRBY', key, -ARGV[1], id)
  end
end
"""


class Ground:
    """One broker, on a server whose time passes only when it is told to, or nearly so."""

    #: As in `BrokerSuite`.
    keeps_order: ClassVar[bool] = True
    counts_deliveries: ClassVar[bool] = True
    fences: ClassVar[bool] = True
    #: Whether a receipt still holds its package when the lease has lapsed and nobody has leased it
    #: since; None where the seam does not say.
    holds_lapsed: ClassVar[bool | None] = True
    #: What is given back with a delay may come back as another package, with another id.
    renames: ClassVar[bool] = False
    #: What is deleted leaves a mark, and goes away when it is lent.
    marks: ClassVar[bool] = False

    def __init__(self, clock: Clock, kind: Callable[[str], Broker]) -> None:
        self.clock = clock
        self._kind = kind

    def make_pair(self) -> list[Broker]:
        """Make two brokers of one queue, which is empty."""
        name = f"life-{uuid.uuid4().hex[:12]}"
        first = self._kind(name)
        return [first, self._kind(name) if first.is_shared else first]

    def give_up(self, brokers: list[Broker]) -> None:
        """Leave nothing behind."""
        brokers[0].delete_queue()
        for broker in brokers:
            broker.close()

    def advance(self, broker: Broker, seconds: float) -> None:
        """Let time pass, for the model and for the server."""
        self.clock.now += seconds

    def before_purge(self, broker: Broker) -> None:
        """Do what has to be done before a queue can be purged."""

    def sizes(self, model: Reference) -> tuple[int | None, int | None]:
        """What `queue_size` and `lock_size` have to say; None for anything."""
        return model.queue_size(), model.lock_size()


class RedisGround(Ground):
    """Redis with leases."""

    def advance(self, broker: Any, seconds: float) -> None:
        """Make what is kept older."""
        super().advance(broker, seconds)
        keys = [broker._leases, broker._delayed, broker._later]
        broker.connection.eval(_AGE, len(keys), *keys, round(seconds * 1_000_000))


class ListGround(Ground):
    """Redis without leases: what was lent is gone."""

    def sizes(self, model: Reference) -> tuple[int | None, int | None]:
        """It does not count what is leased."""
        return model.queue_size(), None


class OrmGround(Ground):
    """A database."""

    def advance(self, broker: Any, seconds: float) -> None:
        """Make what is kept older."""
        super().advance(broker, seconds)
        rows = OrmQ.objects.using(broker.alias).filter(key=broker.list_key)
        rows.update(lock=F("lock") - timedelta(seconds=seconds))


class SqsGround(Ground):
    """Amazon SQS as moto plays it, in this process and on the test's clock."""

    keeps_order = False
    fences = False
    holds_lapsed = None
    marks = True

    def make_pair(self) -> list[Broker]:
        """Give the same two each time: a client of boto3 takes a tenth of a second to make."""
        if not hasattr(self, "_pair"):
            self._pair = super().make_pair()
        self.before_purge(self._pair[0])
        self._pair[0].purge_queue()
        return self._pair

    def before_purge(self, broker: Broker) -> None:
        """Amazon purges a queue once in 60 s."""
        self.advance(broker, 100)

    def give_up(self, brokers: list[Broker]) -> None:
        """Keep them."""

    def sizes(self, model: Reference) -> tuple[int | None, int | None]:
        """What was given back with a delay counts as leased."""
        return model.queue_size(), None


class DisqueGround(Ground):
    """A node of Disque in this process, on the test's clock."""

    fences = False
    holds_lapsed = None
    renames = True

    def __init__(self, clock: Clock, kind: Callable[[str], Broker], server: Any) -> None:
        super().__init__(clock, kind)
        self._server = server

    def advance(self, broker: Broker, seconds: float) -> None:
        """Turn the node's clock."""
        super().advance(broker, seconds)
        self._server.advance(seconds)

    def sizes(self, model: Reference) -> tuple[int | None, int | None]:
        """It does not count what is leased."""
        return model.queue_size(), None


class IronGround(DisqueGround):
    """The local IronMQ, whose clock can be turned."""

    fences = True
    holds_lapsed = False
    renames = False

    def sizes(self, model: Reference) -> tuple[int | None, int | None]:
        """It counts all packages together."""
        return model.count(), None
