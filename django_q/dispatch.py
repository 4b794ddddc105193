"""Hands sealed packages to their broker: at once, or when their time has come.

Called by producers, by clerks for what follows a task, and by the housekeeper for what is due.
"""

from collections.abc import Sequence
from datetime import timedelta

from django.db import router
from django.utils import timezone

from django_q.brokers import Broker
from django_q.models import Delayed
from django_q.package import Follower
from django_q.results.trouble import told


def dispatch(broker: Broker, packages: Sequence[Follower]) -> None:
    """Send packages of one queue, in one call for each delay. Raises what the broker raises.

    What the broker cannot hold back itself is kept in the database until it is due, by the
    housekeeper of the queue.
    """
    by_delay: dict[float, list[Follower]] = {}
    for package in packages:
        by_delay.setdefault(max(0.0, package.delay), []).append(package)
    for delay, members in by_delay.items():
        if not delay:
            broker.enqueue_many([member.payload for member in members])
        elif broker.can_delay:
            broker.enqueue_many([member.payload for member in members], delay=delay)
        else:
            _keep(broker.list_key, members)


def _keep(queue: str, packages: Sequence[Follower]) -> None:
    now = timezone.now()
    alias = router.db_for_write(Delayed)
    with told(alias, "Delayed packages cannot be kept"):
        Delayed.objects.using(alias).bulk_create(
            Delayed(
                task=package.task_id,
                queue=queue,
                payload=package.payload,
                priority=package.priority,
                due=now + timedelta(seconds=package.delay),
            )
            for package in packages
        )
