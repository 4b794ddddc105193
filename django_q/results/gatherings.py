"""Parts that belong together: kept with their results, and followed by one task when all are in.

Parts are written in the transaction of their rows; whether all are there is asked after it, so of
two clusters that finish the last two parts at least one sees both. What follows may so be sent
twice: its id is the gathering's, and the first result stands.
"""

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import router, transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from django_q.conf import logger
from django_q.exceptions import FailedResult
from django_q.functions import find_function
from django_q.models import GatheredPart, Gathering
from django_q.results.looks import Look, has_row
from django_q.results.statements import check_size, size_of
from django_q.results.trouble import is_refusal, told
from django_q.stored import open_value, seal_value

#: Nothing is heard of a gathering for so long, sent or not: it is of no more use.
_KEPT = timedelta(days=7)
_BATCH = 500
#: Bytes that a part, and what opens its gathering, takes in a statement beside the texts.
_BESIDE = 512
#: Longest time for deleting, seconds; the rest an hour later.
_LONGEST = 1.0
_CANNOT_READ = "Gatherings cannot be read"


class Opening(NamedTuple):
    """A gathering that its producer did not open: how many parts, and what follows."""

    total: int
    queue: str
    payload: str


class Part(NamedTuple):
    """One part's result, encoded as a row's."""

    gathering: str
    position: int
    success: bool
    result: str | None
    #: To be opened with the first part that comes.
    opening: Opening | None = None


class Ready(NamedTuple):
    """A gathering that is complete, and the package that follows."""

    id: str
    queue: str
    payload: str
    priority: int = 0
    run_at: datetime | None = None


def begin(gathering_id: str, queue: str, payload: str, package: Mapping[str, Any]) -> None:
    """Open a gathering; the package, sealed as `payload`, is sent when it is complete."""
    order = {"priority": package.get("priority", 0), "run_at": package.get("run_at")}
    rows = Gathering.objects.using(_alias())
    until = _kept_until(package.get("run_at"))
    rows.create(id=gathering_id, queue=queue, payload=payload, until=until, **order)


def close(gathering_id: str, total: int, last_start: datetime | None = None) -> None:
    """Say how many parts there are: from now on it can be complete.

    `last_start`: before that moment not all of them may start.
    """
    row = Gathering.objects.using(_alias()).filter(pk=gathering_id)
    if last_start is not None:
        until = _kept_until(last_start)
        row.filter(until__lt=until).update(until=until)
    row.update(total=total)


def give_up(gathering_id: str) -> None:
    """Forget a gathering whose parts could not be sent."""
    Gathering.objects.using(_alias()).filter(pk=gathering_id).delete()


def keep_parts(parts: Sequence[Part]) -> None:
    """Keep parts, inside the caller's transaction; one that is there already stays as it is.

    In place of one that the database refuses stands a failure that says so.
    """
    error = _refusal(parts)
    if error is None:
        return
    if len(parts) > 1:
        # One of them may be to blame, or their number: the others are kept as they are.
        half = len(parts) // 2
        keep_parts(parts[:half])
        keep_parts(parts[half:])
        return
    part = parts[0]
    reason = f"The result could not be stored: {error}"
    logger.error("Part %d of the gathering %s: %s", part.position, part.gathering, reason)
    failed = part._replace(success=False, result=seal_value(reason))
    if _refusal([failed]) is not None:
        _refusal([failed._replace(opening=None)])


def has_part(gathering: str, position: int) -> bool:
    """Tell whether the success of a part is kept. Raises ResultsUnavailable."""
    with told(_alias(), "The parts of a gathering cannot be read"):
        part = {"gathering": gathering, "position": position, "success": True}
        return has_row(_alias(), (GatheredPart, part))


def _refusal(parts: Sequence[Part]) -> Exception | None:
    """Write parts together; give the error if the database refuses one of them."""
    try:
        check_size(_alias(), _size_of(parts))
        with transaction.atomic(using=_alias()):
            _write(parts)
    except Exception as error:
        if not is_refusal(error):
            raise
        return error
    return None


def _size_of(parts: Sequence[Part]) -> int:
    texts = [part.result for part in parts]
    texts += [part.opening.payload for part in parts if part.opening]
    return size_of(texts) + len(parts) * _BESIDE


def _write(parts: Sequence[Part]) -> None:
    openings = {part.gathering: part.opening for part in parts if part.opening}
    if openings:
        opened = [Gathering(id=id, **opening._asdict()) for id, opening in openings.items()]
        Gathering.objects.using(_alias()).bulk_create(opened, ignore_conflicts=True)
    rows = [
        GatheredPart(
            gathering=part.gathering,
            position=part.position,
            success=part.success,
            result=part.result,
        )
        for part in parts
    ]
    GatheredPart.objects.using(_alias()).bulk_create(rows, ignore_conflicts=True)


class Pending:
    """Gatherings that are closed and not sent yet: few sites have any, most of the time."""

    def __init__(self) -> None:
        self._look = Look(Gathering, "id", "WHERE {sent} = %s AND {total} IS NOT NULL", [False])

    def is_any(self) -> bool:
        """Tell whether there are any; costs little."""
        with told(_alias(), _CANNOT_READ):
            return self._look.value() is not None


def complete(gathering_ids: Iterable[str] | None = None) -> list[Ready]:
    """Give those gatherings that are complete and not sent yet; by default look at all."""
    parts = GatheredPart.objects.filter(gathering=OuterRef("pk")).order_by().values("gathering")
    count = Subquery(parts.annotate(n=Count("pk")).values("n"))
    waiting = _pending()
    if gathering_ids is not None:
        waiting = waiting.filter(pk__in=list(gathering_ids))
    with told(_alias(), _CANNOT_READ):
        ready = waiting.annotate(there=count).filter(there__gte=F("total"))
        empty = waiting.filter(total=0)
        found = [*ready[:_BATCH], *empty[:_BATCH]]
    return [Ready(row.pk, row.queue, row.payload, row.priority, row.run_at) for row in found]


def _pending() -> "QuerySet[Gathering]":
    return Gathering.objects.using(_alias()).filter(sent=False, total__isnull=False)


def mark_sent(ids: Sequence[str]) -> None:
    """Note that what follows was sent, or run in place."""
    with told(_alias(), "Gatherings cannot be written"):
        Gathering.objects.using(_alias()).filter(pk__in=ids).update(sent=True)


@contextlib.contextmanager
def claimed(gathering_id: str) -> Iterator[bool]:
    """Take a complete gathering for the block that sends what follows.

    Gives True to one of all who try at the same time: the others wait for its end, and see that it
    was sent. Where the block raises, or its process is killed, the gathering is free again.
    """
    with told(_alias(), "Gatherings cannot be written"), transaction.atomic(using=_alias()):
        waiting = Gathering.objects.using(_alias()).filter(pk=gathering_id, sent=False)
        yield bool(waiting.update(sent=True))


def gather(gathering_id: str) -> list[Any]:
    """Give the results of all parts in their order. The task that follows an iteration.

    The error of a part that failed is a FailedResult in its place.
    """
    rows = GatheredPart.objects.using(_alias()).filter(gathering=gathering_id)
    ordered = rows.order_by("position").values_list("success", "result")
    return [_decode(success, result) for success, result in ordered.iterator()]


def call_with_results(
    gathering_id: str, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Call a function with the results of all parts. The task that follows a group."""
    return find_function(func)(gather(gathering_id), *args, **kwargs)


def drop_old() -> int:
    """Delete what is over: gatherings of which no part came for a week, or was to start; how many.

    And parts that came after their gathering was deleted.
    """
    now, deleted = timezone.now(), 0
    recent = GatheredPart.objects.filter(gathering=OuterRef("pk"), created__gte=now - _KEPT)
    gatherings = Gathering.objects.using(_alias()).filter(created__lt=now - _KEPT)
    old = gatherings.filter(Q(until=None) | Q(until__lt=now)).exclude(Exists(recent))
    parts = GatheredPart.objects.using(_alias())
    own = Gathering.objects.filter(pk=OuterRef("gathering"))
    orphans = parts.filter(created__lt=now - _KEPT).exclude(Exists(own))
    with told(_alias(), "Old gatherings cannot be deleted"):
        for ids in _batches(old):
            parts.filter(gathering__in=ids).delete()
            deleted += int(gatherings.filter(pk__in=ids).delete()[0])
        for ids in _batches(orphans):
            parts.filter(pk__in=ids).delete()
    return deleted


def _batches(rows: QuerySet[Any]) -> Iterator[list[Any]]:
    """Give the ids of rows that the caller deletes, until there are none or it takes too long."""
    end = time.monotonic() + _LONGEST
    while (ids := list(rows.values_list("pk", flat=True)[:_BATCH])) and time.monotonic() < end:
        yield ids


def _kept_until(last_start: datetime | None) -> datetime:
    return max(timezone.now(), last_start or timezone.now()) + _KEPT


def _decode(success: bool, result: str | None) -> Any:
    value = open_value(result)
    return value if success else FailedResult(value)


def _alias() -> str:
    return router.db_for_write(Gathering)
