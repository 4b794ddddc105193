"""Sending in step with the caller's transaction: when it has committed, or through an outbox in it.

The outbox is the table of delayed packages: what stands there is committed or rolled back with the
caller's own rows. After the commit the caller carries it to the broker at once; should it die, or
the broker be away, the housekeeper of the queue does.
"""

import contextlib
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import connections, router, transaction
from django.utils import timezone

from django_q.brokers import Broker
from django_q.conf import Conf, logger
from django_q.dispatch import dispatch
from django_q.exceptions import BrokerError, PackageError, ResultsUnavailable
from django_q.models import Delayed
from django_q.package import Follower, TaskPackage
from django_q.results import keys, tracking
from django_q.results.trouble import told
from django_q.signing import as_text

#: Seconds the caller has to carry its packages itself, before the housekeeper looks at them.
_CARRIED = 5.0
_CANNOT = "The outbox cannot be written"
_OUTBOX = "outbox"


def way_of(package: TaskPackage, broker: Broker) -> bool | str:
    """Take out of a package how it is sent: False at once, True after the commit, or "outbox".

    At once where there is no transaction, and where the queue takes part in it. Raises PackageError
    for anything else.
    """
    way: Any = package.pop("on_commit", Conf.ON_COMMIT)
    if way not in (True, False, None, _OUTBOX):
        raise PackageError(f'on_commit is {way!r:.100}: give True, False or "outbox".')
    if not way:
        return False
    alias = _alias()
    if not connections[alias].in_atomic_block or _is_within(broker, alias):
        return False
    if way == _OUTBOX:
        # It may be carried twice; a worker looks then.
        package["derived"] = True
    return way if way == _OUTBOX else True


def post(broker: Broker, packages: Sequence[Follower], way: bool | str) -> None:
    """Send packages of one queue, in this way."""
    if not way:
        dispatch(broker, packages)
        return
    alias = _alias()
    if way == _OUTBOX:
        _keep(broker.list_key, packages, alias)
        soon = [package.task_id for package in packages if not package.delay]
        if soon:
            transaction.on_commit(partial(_carry, broker, soon), using=alias, robust=True)
    else:
        transaction.on_commit(partial(_send, broker, list(packages)), using=alias)


def _send(broker: Broker, packages: Sequence[Follower]) -> None:
    """Send what was waiting for the commit; what cannot be sent is followed no more."""
    try:
        dispatch(broker, packages)
    except BaseException:
        with contextlib.suppress(ResultsUnavailable):
            tracking.forget([package.task_id for package in packages])
            keys.free_of([package.task_id for package in packages])
        raise


def _keep(queue: str, packages: Sequence[Follower], alias: str) -> None:
    now = timezone.now()
    rows = [
        Delayed(
            task=package.task_id,
            queue=queue,
            payload=as_text(package.payload),
            priority=package.priority,
            due=now + timedelta(seconds=package.delay or _CARRIED),
        )
        for package in packages
    ]
    with told(alias, _CANNOT):
        Delayed.objects.using(alias).bulk_create(rows)


def _carry(broker: Broker, task_ids: Sequence[str]) -> None:
    """Carry what was just committed; what cannot be is left to the housekeeper."""
    alias = _alias()
    rows = Delayed.objects.using(alias).filter(queue=broker.list_key, task__in=task_ids)
    try:
        with told(alias, _CANNOT), transaction.atomic(using=alias):
            if connections[alias].vendor == "sqlite":
                # Who reads first cannot write once somebody else has written.
                rows.filter(pk=0).update(priority=0)
            # Locked, so that the housekeeper does not carry them too.
            mine = list(rows.select_for_update().order_by("pk"))
            followers = [Follower(r.queue, r.payload, 0.0, r.priority, r.task) for r in mine]
            dispatch(broker, followers)
            Delayed.objects.using(alias).filter(pk__in=[row.pk for row in mine]).delete()
    except (BrokerError, ResultsUnavailable) as error:
        text = "The outbox of %s waits, with %d tasks of this transaction: %s"
        logger.warning(text, broker.list_key, len(task_ids), error)


def _is_within(broker: Broker, alias: str) -> bool:
    """Tell whether a queue commits and rolls back with the transaction."""
    return getattr(broker, "alias", None) == alias


def _alias() -> str:
    return router.db_for_write(Delayed)
