"""The rows of the ORM broker: what can be done with a queue on one connection, as it is.

No patience and no waiting: see `orm_trouble` and `orm_wait`.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from django_q.brokers import orm_direct, orm_sqlite
from django_q.brokers.estimate import Estimate
from django_q.brokers.orm_estimate import by_ids, by_pages
from django_q.brokers.orm_lists import LARGEST_INSERT, Lists, as_lines
from django_q.brokers.orm_progress import Progress
from django_q.brokers.orm_sql import moment, statements
from django_q.brokers.orm_wait import channel
from django_q.conf import Conf
from django_q.exceptions import PayloadTooLarge

#: Bytes of an insert beside its package, amply reckoned.
_OVERHEAD = 2**12

#: A priority above all that a column takes.
_ABOVE_ALL = 2**15

#: Rows that are counted one by one: more would take longer than to look at some, and reckon.
COUNTED = 20_000

#: Receipt -> row id: the receipts that say more than nonsense.
Held = Mapping[str, int]


class Rows:
    """The rows of the queue `key`. Made for one action of one thread."""

    def __init__(self, connection: BaseDatabaseWrapper, key: str) -> None:
        self._connection = connection
        self._key = key
        self._sql = statements(connection)
        self._lists = Lists(connection.vendor)
        self._is_postgresql = connection.vendor == "postgresql"
        self._returns_ids = connection.features.can_return_rows_from_bulk_insert

    def _moment(self, seconds: float = 0.0) -> Any:
        return moment(self._connection, seconds)

    def _change(self, text: str, values: Sequence[Any]) -> int:
        """Run a statement; how many rows it changed."""
        with self._connection.cursor() as cursor:
            cursor.execute(text, values)
            return int(cursor.rowcount)

    def _fetch(self, text: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(text, values)
            return list(cursor.fetchall())

    def _transaction(self) -> Any:
        return transaction.atomic(self._connection.alias, savepoint=False)

    # -- keep ------------------------------------------------------------------------------

    def insert(self, payloads: Sequence[str], delay: float, priority: int) -> list[int]:
        """Insert all rows or none; their ids, in the order of the payloads.

        Raises PayloadTooLarge for one that the database does not take.
        """
        self._check_size(max(map(len, payloads), default=0))
        # Where the ids of several new rows are not told (MySQL), each row is a statement.
        chunks = self._lists.chunks(payloads) if self._returns_ids else [[p] for p in payloads]
        with self._transaction() if len(chunks) > 1 else contextlib.nullcontext():
            return [id for chunk in chunks for id in self._insert_chunk(chunk, delay, priority)]

    def _check_size(self, size: int) -> None:
        # MySQL would hang up in the middle of it; the others take a gigabyte.
        if self._connection.vendor == "mysql" and size + _OVERHEAD > LARGEST_INSERT:
            limit = int(self._fetch("SELECT @@max_allowed_packet", [])[0][0]) - _OVERHEAD
            if size > limit:
                raise PayloadTooLarge(
                    f"A package of {size} bytes is larger than the {limit} that the database "
                    f'"{self._connection.alias}" takes. Raise its max_allowed_packet.'
                )

    def _insert_chunk(self, payloads: Sequence[str], delay: float, priority: int) -> list[int]:
        if not (delay or priority):
            direct = orm_direct if self._is_postgresql else orm_sqlite
            if (told := direct.insert(self._connection, self._key, payloads)) is not None:
                return sorted(told)
        ready = self._moment(delay)
        if self._is_postgresql and len(payloads) > 1 and (lines := as_lines(payloads)) is not None:
            values = [self._key, ready, priority, lines, channel(self._key)]
            made = self._fetch(self._sql.insert_many_and_tell, values)
            return sorted(row[0] for row in made)
        places = ", ".join([f"(%s, %s, {self._sql.moment}, {priority:d})"] * len(payloads))
        values = [value for payload in payloads for value in (self._key, payload, ready)]
        if self._is_postgresql:
            # Many of one transaction are told once, if they are told the same.
            says_which = not (delay or self._connection.in_atomic_block)
            text = self._sql.insert_and_tell_which if says_which else self._sql.insert_and_tell
            made = self._fetch(text.replace("{rows}", places), [*values, channel(self._key)])
        elif self._returns_ids:
            made = self._fetch(self._sql.insert_returning.replace("{rows}", places), values)
        else:
            with self._connection.cursor() as cursor:
                cursor.execute(self._sql.insert.replace("{rows}", places), values)
                made = [(cursor.lastrowid,)]
        # Numbered in the order of the payloads, but told in any.
        return sorted(row[0] for row in made)

    # -- lend ------------------------------------------------------------------------------

    def claim(self, limit: int, token: str, progress: Progress) -> list[tuple[int, str, int]]:
        """Lend up to `limit` rows, by priority, oldest first: id, payload, deliveries of each."""
        limit = min(limit, self._lists.longest)
        if self._is_postgresql:
            claimed = self._claim_at_once(limit, token, progress)
        elif self._connection.in_atomic_block:
            claimed = self._claim_in_steps(limit, token, None)
        # An idle look must not write: on SQLite writers wait for each other.
        elif ready := self._ready():
            with self._transaction():
                claimed = self._claim_in_steps(limit, token, ready)
        else:
            claimed = []
        return [(id, payload, deliveries) for id, payload, deliveries in claimed]

    def _claim_at_once(self, limit: int, token: str, progress: Progress) -> list[tuple[Any, ...]]:
        place = progress.place()
        if place is None:
            text, values = self._sql.claim, [self._key, self._key, self._key, self._moment()]
        else:
            text, values = self._sql.claim_since, [self._key, place[0], place[0]]
            values += [self._key, self._key, self._moment(), *place]
        values += [limit, limit, self._moment(Conf.RETRY), token]
        claimed = self._fetch(text, values)
        progress.note(claimed, limit, is_whole=place is None)
        found = [row[:3] for row in claimed]
        if place is not None and len(found) < limit:
            found += self._claim_at_once(limit - len(found), token, progress)
        return found

    def claim_told(self, id: int, token: str) -> list[tuple[int, str, int]]:
        """Lend the row that a notification named; nothing when somebody else was quicker."""
        values = [self._moment(Conf.RETRY), token, id, self._key, self._moment()]
        claimed = orm_direct.claim_told(self._connection, values)
        if claimed is None:
            claimed = [row[:3] for row in self._fetch(self._sql.claim_told, values)]
        return claimed

    def _claim_in_steps(
        self, limit: int, token: str, ready: list[int] | None
    ) -> list[tuple[Any, ...]]:
        """Claim of these priorities; of those that are ready now, if they are not known."""
        if self._connection.vendor == "sqlite":
            self._change(self._sql.write, [])
        chosen: list[tuple[Any, ...]] = []
        for priority in self._ready() if ready is None else ready:
            values = [self._key, priority, self._moment(), limit - len(chosen)]
            chosen += self._fetch(self._sql.choose, values)
            if len(chosen) >= limit:
                break
        if chosen:
            ids = [row[0] for row in chosen]
            values = [self._moment(Conf.RETRY), token, *self._lists.values(ids)]
            self._change(self._lists.text(self._sql.lend, len(ids)), values)
        return chosen

    def _ready(self) -> list[int]:
        """Give the priorities of which something is ready, the highest first."""
        return [rank for rank, due in self._levels().items() if due is not None and due <= 0]

    def _levels(self) -> dict[int, float | None]:
        """Give the priorities that there are, each with the seconds until its first row is ready.

        The highest first; None where all are on hold.
        """
        now = self._moment()
        if self._connection.vendor != "mysql":
            rows = self._fetch(self._sql.levels, [self._key, self._key, now, self._key])
            return {rank: None if due is None else float(due) for rank, due in rows}
        found: dict[int, float | None] = {}
        below, lowest = _ABOVE_ALL, -_ABOVE_ALL
        while below > lowest:
            values = [now, self._key, self._key, self._key, below]
            rows = self._fetch(self._sql.levels, values)
            if not rows:
                break
            ((below, due, lowest),) = rows
            found[below] = None if due is None else float(due)
        return found

    def due(self) -> float | None:
        """Give the seconds until the first row is ready, negative when one is; None without any."""
        return min((due for due in self._levels().values() if due is not None), default=None)

    # -- take back -------------------------------------------------------------------------

    def acknowledge(self, held: Held) -> int:
        """Delete what is held; how many rows."""
        return self._change_held(self._sql.acknowledge, [], held)

    def renew(self, held: Held) -> set[str]:
        """Prolong what is held; the receipts of which that is true."""
        if self._change_held(self._sql.renew, [self._moment(Conf.RETRY)], held) == len(held):
            return set(held)
        valid: set[str] = set()
        for part in self._parts(held):
            # A row that was not held before cannot have become so since.
            text = self._lists.text(self._sql.who_holds, len(part))
            values = self._lists.values(part.values(), part)
            # By receipt: a lost one may stand beside the one that holds the same row now.
            valid |= {str(receipt) for (receipt,) in self._fetch(text, values)}
        return valid

    def release(self, held: Held, delay: float, uncount: bool) -> int:
        """Give back what is held, to the front or in `delay` seconds; how many."""
        if delay > 0:
            values = [int(uncount), self._moment(delay)]
            changed = self._change_held(self._sql.release_later, values, held)
        else:
            changed = self._change_held(self._sql.release, [int(uncount)], held)
        if changed and self._is_postgresql:
            self._fetch(self._sql.tell, [channel(self._key)])
        return changed

    def held_by(self, holder: str) -> Held:
        """Give what is leased with a token of this holder."""
        rows: list[tuple[Any, ...]] = []
        for rank in self._levels():
            values = [self._key, rank, self._moment(), f"{holder}.%"]
            rows += self._fetch(self._sql.held_by, values)
        return {str(receipt): id for receipt, id in rows}

    def _change_held(self, text: str, values: Sequence[Any], held: Held) -> int:
        lists = self._lists
        return sum(
            self._change(lists.text(text, len(part)), [*values, *lists.values(part.values(), part)])
            for part in self._parts(held)
        )

    def _parts(self, held: Held) -> Iterator[Held]:
        """Cut into parts that fit into a statement, by rising id so that no two deadlock."""
        pairs, longest = sorted(held.items(), key=lambda pair: pair[1]), self._lists.longest
        for begin in range(0, len(pairs), longest):
            yield dict(pairs[begin : begin + longest])

    def has(self, id: int) -> bool:
        """Tell whether there is such a row, in whatever queue."""
        return bool(self._fetch(self._sql.there, [id]))

    def delete(self, id: int) -> int:
        """Delete one row; how many there were."""
        return self._change(self._sql.delete, [self._key, id])

    def purge(self) -> None:
        """Delete all rows of the queue."""
        self._change(self._sql.purge, [self._key])

    def count_waiting(self) -> int:
        """Count what is ready; an `Estimate` where that is more than COUNTED."""
        counted = 0
        for rank in self._levels():
            values = [self._key, rank, self._moment(), COUNTED + 1 - counted]
            counted += int(self._fetch(self._sql.waiting, values)[0][0])
            if counted > COUNTED:
                reckon = by_pages if self._is_postgresql else by_ids
                found = reckon(self._fetch, self._sql, [self._key, self._moment()])
                return max(found, Estimate(COUNTED))
        return counted

    def count_leased(self) -> int:
        """Count what is leased."""
        values = ([self._key, rank, self._moment()] for rank in self._levels())
        return sum(int(self._fetch(self._sql.leased, of_rank)[0][0]) for of_rank in values)

    # -- heartbeats ------------------------------------------------------------------------

    def beat(self, key: str, value: str, seconds: float) -> None:
        """Write a heartbeat; a new one takes the place of all that have expired."""
        values = [value, self._moment(seconds), key]
        if not self._change(self._sql.beat, values):
            self._change(self._sql.forget_expired, [self._moment()])
            self._change(self._sql.first_beat, values)

    def stat(self, key: str) -> str | None:
        """Give the heartbeat under this key."""
        rows = self._fetch(self._sql.stat, [self._moment(), key])
        return str(rows[0][0]) if rows else None

    def stats(self, prefix: str) -> list[str]:
        """Give the heartbeats whose keys begin so."""
        values = [self._moment(), len(prefix), prefix]
        return [str(value) for (value,) in self._fetch(self._sql.stats_by_prefix, values)]
