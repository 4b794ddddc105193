"""The rows of the schedules, as the scheduler needs them: found, claimed, moved on, disabled.

A run is claimed by comparing: a row that says what was seen has not been run by anybody else.
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connections, router
from django.db.models import F, Q, QuerySet

from django_q.conf import Conf
from django_q.models import Schedule
from django_q.results.looks import Look, Together
from django_q.results.trouble import told

#: Columns that every run changes.
_STATE = ("next_run", "repeats", "task")
#: Ids read at once; the schedules beyond have their turn when these have had theirs.
_LONGEST_LIST = 10_000

State = tuple[Any, ...]


def state_of(schedule: Schedule) -> State:
    """Give what a row says until its schedule is run."""
    return tuple(getattr(schedule, name) for name in _STATE)


class ScheduleRows:
    """The schedules that the clusters of one queue run. Raises Django's database errors."""

    def __init__(self, queue: str, together: Together | None = None) -> None:
        #: The database they are in.
        self.alias: str = router.db_for_write(Schedule)
        self._queue = queue
        self._look = Look(Schedule, "next_run", *self._which(), together)

    def active(self) -> QuerySet[Schedule]:
        """Give those that will run some day, the next one first."""
        own = Q(cluster=self._queue)
        if self._queue == Conf.PREFIX:
            own |= Q(cluster=None) | Q(cluster="")
        rows = Schedule.objects.using(self.alias).filter(own, enabled=True)
        return rows.exclude(repeats=0).exclude(next_run=None).order_by("next_run", "pk")

    def _which(self) -> tuple[str, list[Any]]:
        """Give the same as SQL."""
        own, values = "{cluster} = %s", [True, self._queue]
        if self._queue == Conf.PREFIX:
            own += " OR {cluster} IS NULL OR {cluster} = ''"
        run = "{enabled} = %s AND {repeats} <> 0 AND {next_run} IS NOT NULL"
        return f"WHERE {run} AND ({own}) ORDER BY {{next_run}}", values

    def due_ids(self, now: datetime) -> list[int]:
        """Give the ids of what is due, the oldest first."""
        due = self.active().filter(next_run__lte=now)
        return list(due.values_list("pk", flat=True)[:_LONGEST_LIST])

    def read_due(self, ids: Sequence[int], now: datetime) -> list[Schedule]:
        """Read what is still due of these, in their order."""
        found = self.active().filter(next_run__lte=now).in_bulk(ids)
        return [found[id] for id in ids if id in found]

    def next_due(self) -> datetime | None:
        """Give the next due time of all."""
        found: datetime | None = self._look.value()
        return found

    def claim(self, seen: Mapping[int, State]) -> set[int]:
        """Lock rows by what was seen of them; the ids of those that still say so.

        In a transaction of the caller. Waits for no other scheduler where the database can skip.
        """
        features = connections[self.alias].features
        rows = self._rows().filter(pk__in=list(seen), enabled=True)
        if features.has_select_for_update:
            # Another scheduler may be waiting for its broker.
            skips = features.has_select_for_update_skip_locked
            rows = rows.select_for_update(skip_locked=skips)
        else:
            # SQLite: who reads first cannot write once somebody else has written.
            rows.update(task=F("task"))
        said = {pk: tuple(state) for pk, *state in rows.values_list("pk", *_STATE)}
        return {pk for pk, state in seen.items() if said.get(pk) == state}

    def move(self, schedules: Sequence[Schedule]) -> None:
        """Write what a run has changed. (`bulk_update` takes 1.3 ms of CPU a row, this 0.1).

        In the transaction of the claim.
        """
        connection, meta = connections[self.alias], Schedule._meta
        quote = connection.ops.quote_name
        fields: list[Any] = [meta.get_field(name) for name in (*_STATE, "anchor", "id")]
        *changed, key = [f"{quote(field.column)} = %s" for field in fields]
        text = f"UPDATE {quote(meta.db_table)} SET {', '.join(changed)} WHERE {key}"  # noqa: S608
        values = [
            [field.get_db_prep_save(getattr(schedule, field.name), connection) for field in fields]
            for schedule in schedules
        ]
        with connection.cursor() as cursor:
            cursor.executemany(text, values)

    def delete(self, ids: Iterable[int]) -> None:
        """Delete those that were to run once. In the transaction of the claim."""
        if ids := list(ids):
            self._rows().filter(pk__in=ids).delete()

    def disable(self, id: int, seen: State, reason: str) -> bool:
        """Disable one that cannot run, if it still says what was seen, and keep the reason."""
        text = reason.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
        said = dict(zip(_STATE, seen, strict=True))
        rows = self._rows().filter(pk=id, enabled=True, **said)
        return bool(rows.update(enabled=False, error=text))

    def watched(self) -> contextlib.AbstractContextManager[None]:
        """Turn the database's errors within the block into ResultsUnavailable."""
        return told(self.alias, "Schedules cannot be read or written")

    def _rows(self) -> QuerySet[Schedule]:
        return Schedule.objects.using(self.alias).order_by()
