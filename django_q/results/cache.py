"""Results in Django's cache, for tasks with the option `cached`: `CacheStore`.

A row is one sealed text under a key made of its id, so that nobody who can write into the cache
can have a pickle of his opened. What a cache is: rows go when their time is over, when it is full
(the in-memory and the database cache hold 300 entries unless told), and when its server restarts.
Written by a worker's clerk, read by anyone.
"""

import contextlib
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeGuard
from urllib.parse import quote

from django.core.cache import BaseCache, caches
from django.core.exceptions import ImproperlyConfigured

from django_q import signing
from django_q.conf import Conf, logger
from django_q.exceptions import ConfigurationError, PackageRejected, ResultsUnavailable
from django_q.models import Task
from django_q.results.base import ResultStore, Row, bare_row
from django_q.results.members import Members, get_many
from django_q.stored import seal_value, value_or_error

#: Characters from which on a sealed row may be too large for the server: half of the 1 MiB that
#: Memcached takes for an item unless told otherwise.
_SUSPECT = 2**19
_STORED = ("args", "kwargs", "result")


class CachedRow(NamedTuple):
    """A row, and for how many seconds it is kept; None: as long as the cache keeps it."""

    row: Row
    seconds: float | None


class _SealedRow(NamedTuple):
    """A row, the whole seconds for which it is kept, and its text."""

    row: Row
    timeout: int | None
    text: str


def seconds_to_keep(cached: bool | float) -> float | None:
    """Give what the option `cached` means: True is what `Q_CLUSTER["cached"]` says, else for ever.

    None is for ever.
    """
    if _is_number(cached):
        return cached
    return Conf.CACHED if _is_number(Conf.CACHED) else None


class CacheStore(ResultStore):
    """Keeps rows in a cache; by default the one that `Q_CLUSTER["cache"]` names."""

    def __init__(self, cache: BaseCache | None = None) -> None:
        self._given = cache

    @property
    def cache(self) -> BaseCache:
        """The cache; Django gives each thread a connection of its own."""
        if self._given is not None:
            return self._given
        if not Conf.CACHE:
            raise ConfigurationError(
                'A result is wanted from the cache, but Q_CLUSTER["cache"] names none. '
                'Set it to an alias of CACHES, or leave out the option "cached".'
            )
        return caches[Conf.CACHE]

    # -- writing ---------------------------------------------------------------------------

    def save(self, rows: Sequence[Row], within: Callable[[], None] | None = None) -> list[str]:
        """As `ResultStore.save`; the rows are kept as `cached=True` says.

        A cache has no transactions: `within` is called at the end.
        """
        others = self.save_cached([CachedRow(row, seconds_to_keep(True)) for row in rows])
        if within is not None:
            within()
        return others

    def save_cached(self, items: Sequence[CachedRow]) -> list[str]:
        """Keep rows one by one, each for its time; the rest is as in `save`."""
        # Not inside `_reached`: that a row cannot be sealed is no fault of the server's.
        sealed = [_sealed(item) for item in items]
        with self._reached():
            # First the groups: a row that is there is known to have joined.
            self._join_groups(sealed)
            return [item.row.id for item in sealed if not self._keep(item)]

    def _join_groups(self, items: Sequence[_SealedRow]) -> None:
        items = [item for item in items if item.row.group is not None]
        there = get_many(self.cache, [_key("result", item.row.id) for item in items])
        joining: dict[str, dict[str, int | None]] = {}
        for row, timeout, _ in items:
            if _key("result", row.id) not in there:
                joining.setdefault(str(row.group), {})[row.id] = timeout
        for group, timeouts in joining.items():
            self._members(group).join(timeouts)

    def _keep(self, item: _SealedRow) -> bool:
        """Write one row; False if another run's success stands."""
        row, timeout, text = item
        if self._is_written(self.cache.add, row.id, text, timeout):
            return True
        stored = self._read([row.id]).get(row.id)
        if stored is not None:
            is_same = (stored.started, stored.stopped) == (row.started, row.stopped)
            if stored.success or is_same:
                return is_same
            row = row._replace(attempt_count=stored.attempt_count + 1)
            text = _seal(row)
        if self._is_written(self.cache.set, row.id, text, timeout):
            return True
        reason = "The result could not be stored: the cache does not take it"
        failed = row._replace(success=False, result=seal_value(reason), args=None, kwargs=None)
        if not self._is_written(self.cache.set, row.id, _seal(failed), timeout):
            raise ResultsUnavailable(f"{self._name} does not keep what is written.")
        logger.error("%s (%s): %s", row.name, row.id, reason)
        return True

    def _is_written(
        self, write: Callable[..., Any], task_id: str, text: str, timeout: int | None
    ) -> bool:
        """Write a sealed row with `add` or `set`; tell whether it is there then."""
        key = _key("result", task_id)
        try:
            is_added = write(key, text, timeout)
        except Exception:
            # Some clients raise for a value that is too large, some just leave it out.
            if len(text) < _SUSPECT:
                raise
            return False
        return bool(is_added) if is_added is not None else bool(self.cache.get(key) == text)

    # -- reading ---------------------------------------------------------------------------

    def fetch(self, task_id: str) -> Task | None:
        """Give the task with this id, as an unsaved object; None if it is not there."""
        with self._reached():
            row = self._read([task_id]).get(task_id)
        return None if row is None else _task(row)

    def fetch_group(self, group: str) -> list[Task]:
        """Give the tasks of a group that are there, newest first."""
        with self._reached():
            rows = self._read(self._members(group).ids())
        return [_task(row) for row in sorted(rows.values(), key=_stopped, reverse=True)]

    def count_group(self, group: str, failures: bool = False) -> int | None:
        """Count a group's tasks; with `failures` only those that failed. None: unknown group."""
        with self._reached():
            rows = self._read(self._members(group).ids()).values()
        if not rows:
            return None
        return sum(not row.success for row in rows) if failures else len(rows)

    def has_members(self, group: str, count: int) -> bool:
        """Tell whether a group has as many tasks. Costs less than counting while it has not."""
        with self._reached():
            ids = self._members(group).ids()
            return len(ids) >= count and len(self._read(ids)) >= count

    def delete(self, task_id: str) -> bool:
        """Delete one task; True if it was there."""
        with self._reached():
            return bool(self.cache.delete(_key("result", task_id)))

    def delete_group(self, group: str) -> None:
        """Delete a group with its tasks."""
        with self._reached():
            members = self._members(group)
            self.cache.delete_many([_key("result", task_id) for task_id in members.ids()])
            members.clear()

    def _read(self, ids: Sequence[str]) -> dict[str, Row]:
        """Give the rows that are there and genuine."""
        keys = {_key("result", task_id): task_id for task_id in ids}
        texts = get_many(self.cache, list(keys))
        rows = {keys[key]: _unsealed(text) for key, text in texts.items()}
        # A row under another's key was copied there: as if it were not there.
        return {id: row for id, row in rows.items() if row is not None and row.id == id}

    def _members(self, group: str) -> Members:
        return Members(self.cache, _key("group", group))

    @property
    def _name(self) -> str:
        return f"The cache of the results ({type(self.cache).__name__})"

    @contextlib.contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except (ResultsUnavailable, ImproperlyConfigured):
            raise
        except Exception as error:  # every client library has errors of its own
            raise ResultsUnavailable(
                f"{self._name} failed: {type(error).__name__}: {error}"
            ) from error


def _key(kind: str, name: str) -> str:
    """Give a key that every cache takes: Memcached wants it short, without spaces, in ASCII."""
    if not (name.isascii() and name.isalnum()):
        name = "-" + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"django_q:{quote(Conf.PREFIX, safe='')}:{kind}:{name}"


def _timeout(seconds: float | None) -> int | None:
    return None if seconds is None else max(1, math.ceil(seconds))


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _sealed(item: CachedRow) -> _SealedRow:
    """Seal a row; one that cannot be becomes a failed row that says why."""
    row, timeout = item.row, _timeout(item.seconds)
    try:
        return _SealedRow(row, timeout, _seal(row))
    except (TypeError, ValueError) as error:  # the serializer has no form for a value in it
        reason = f"The result could not be stored: {error}"
        logger.error("%s (%s): %s", row.name, row.id, reason)
        failed = bare_row(row, reason)
        return _SealedRow(failed, timeout, _seal(failed))


def _seal(row: Row) -> str:
    return signing.seal(row._asdict(), "result", "")


def _unsealed(text: Any) -> Row | None:
    try:
        return Row(**signing.unseal(text, "result", ""))
    except (signing.BadSignature, PackageRejected, TypeError):
        return None


def _stopped(row: Row) -> datetime:
    return row.stopped


def _task(row: Row) -> Task:
    """Make a Task that is not in the database."""
    values = row._asdict()
    return Task(**values | {name: value_or_error(values[name]) for name in _STORED})
