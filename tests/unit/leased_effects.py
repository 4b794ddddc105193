"""One task with `atomic`: sent, leased, and run as a worker does, in the thread of the test."""

from collections.abc import Callable
from typing import Any

from django_q.brokers import Lease
from django_q.brokers.several import serving_broker
from django_q.cluster.effects import Effects
from django_q.cluster.scoreboard import Phase
from django_q.enqueue import async_task
from django_q.package import Outcome
from django_q.recorder import Record, make_stores
from django_q.run import Run
from django_q.sealed import open_package
from django_q.soft_limit import SoftLimit

SITE = "tests.site.effects"
Ended = tuple[Outcome, Record | None] | None


def _unmarked(phase: Phase) -> None:
    """Stand in for a worker's slot."""


def send(func: str, *args: Any, **options: Any) -> str:
    return async_task(f"{SITE}.{func}", *args, atomic=True, **options)


def take() -> Lease:
    broker = serving_broker("default")
    (lease,) = broker.lease(1)
    lease.queue = lease.queue or "default"
    return lease


def run(lease: Lease | None = None, mark: Callable[[Phase], None] = _unmarked) -> Ended:
    """Run what was leased, as a worker does."""
    lease = lease or take()
    package = open_package(lease.payload, lease.queue)
    return Effects("default", make_stores()).execute(lease, Run(package), SoftLimit(), mark)
