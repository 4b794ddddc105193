"""Marks on packages to be dropped by whoever leases them, where a server cannot delete one.

They are rows of the ledger, as verdicts are, and go the way of those: after the longest retention
that any broker has. Until then they stay, for a server may deliver one package twice.
"""

from collections.abc import Sequence

from django.db import router

from django_q.brokers import orm_trouble
from django_q.conf import logger
from django_q.exceptions import BrokerError
from django_q.models import Ledger
from django_q.models.ledger import package_key

#: The verdict; also what a failed row says, should such a package get as far as a worker.
DELETED = "It was deleted while it waited."


def mark(queue: str, tracking_id: str) -> None:
    """Let the package with this tracking id be dropped. Raises BrokerUnavailable."""
    rows, key = Ledger.objects.using(_alias()), package_key(queue, tracking_id, "")
    orm_trouble.run(
        _alias(), lambda _: rows.update_or_create(key=key, defaults={"verdict": DELETED})
    )


def marked(queue: str, tracking_ids: Sequence[str]) -> set[str]:
    """Give those that are to be dropped; none of them while the database is away."""
    keys = {package_key(queue, tracking_id, ""): tracking_id for tracking_id in tracking_ids}
    rows = Ledger.objects.using(_alias()).filter(key__in=keys, verdict=DELETED)
    try:
        found = orm_trouble.run(_alias(), lambda _: list(rows.values_list("key", flat=True)))
    except BrokerError as error:
        # What has been leased is worth more than a mark.
        logger.debug("Nobody knows which packages of %s were deleted: %s", queue, error)
        return set()
    return {keys[key] for key in found}


def _alias() -> str:
    return str(router.db_for_write(Ledger))
