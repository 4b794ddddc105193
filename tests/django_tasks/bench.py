"""The backend in the places where Django's own tests have theirs. Run by `django_suite.py` only.

Their tests look into `DummyBackend.results`, and expect of `ImmediateBackend` that a task is over
when `enqueue` returns. The queue, the rows and the walk of a task are the real ones.
"""

import functools
from collections.abc import Collection
from typing import Any

from django_q.backend import DjangoQBackend
from django_q.brokers import Broker, Lease, get_broker
from django_q.executor import announce_executed, execute
from django_q.models import Task, Tracked
from django_q.recorder import make_stores, prepare, record
from django_q.sealed import open_package
from django_q.soft_limit import NoLimit


class Waiting(DjangoQBackend):  # type: ignore[misc, valid-type]
    """In the place of `DummyBackend`: nobody works on the queue."""

    def clear(self) -> None:
        """Forget all tasks."""
        get_broker(self._queue_of("default")).purge_queue()
        Tracked.objects.all().delete()
        Task.objects.all().delete()

    @property
    def results(self) -> list[Any]:
        """The results of all tasks, as any process gets them."""
        ids = Tracked.objects.order_by("enqueued").values_list("pk", flat=True)
        return [self.get_result(task_id) for task_id in ids]


class Ready(DjangoQBackend):  # type: ignore[misc, valid-type]
    """In the place of `ImmediateBackend`: a worker takes the task at once."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Send the task, work the queue off, and give the result as it is then."""
        result = super().enqueue(task, args, kwargs)
        self._work_off(self._queue_of(task.queue_name))
        result.refresh()
        return result

    def _work_off(self, queue: str) -> None:
        broker, no_limit = get_broker(queue), NoLimit()
        for lease in broker.lease(10, 0):
            outcome = execute(open_package(lease.payload, queue), no_limit)
            announce_executed(outcome, no_limit)
            outcome, prepared = prepare(outcome, lease)
            record([prepared], make_stores(), functools.partial(_end, broker, lease))


def _end(broker: Broker, lease: Lease, others: Collection[str]) -> None:
    """Acknowledge a package, as a worker does once its result is kept."""
    broker.acknowledge_many([lease.receipt])
