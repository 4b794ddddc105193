"""Results as rows of `django_q_task`: `DatabaseStore`.

A batch is one transaction, on the fast path one statement. A batch that the database refuses is
written again row by row, where a row that cannot be stored becomes a failed one. Called by the
clerk of each worker, by the housekeeper, and in place by `sync=True`.
"""

import contextlib
import operator
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from django.db import (
    Error,
    InterfaceError,
    OperationalError,
    connections,
    router,
    transaction,
)

from django_q.conf import logger
from django_q.exceptions import ResultsUnavailable
from django_q.models import Task
from django_q.results.attempts import Ending, ending
from django_q.results.base import ResultStore, Row, bare_row
from django_q.results.statements import RowWriter, storable
from django_q.results.trouble import cause, is_refusal
from django_q.stored import seal_value

_Given = TypeVar("_Given")

#: Errors that go away by themselves: deadlock, serialization failure, lock not available; as
#: SQLSTATE and as MySQL's numbers (its manual, "Server Error Message Reference").
_PASSING = ("40P01", "40001", "55P03", 1213, 1205, 1020)
#: Seconds for which a passing error is met with another try. Not longer, for the clerk has leases
#: to renew and its caller tries again anyhow.
_PATIENCE = 5.0
#: Seconds between two tries: at random up to this, so that two who deadlocked part.
_PAUSE = 0.05
#: Ids in one look-up.
_LOOK = 500


class DatabaseStore(ResultStore):
    """Keeps rows in the database `alias`; by default where the router writes `Task`."""

    def __init__(self, alias: str | None = None) -> None:
        self.alias: str = alias or router.db_for_write(Task)
        self._writer = RowWriter(self.alias)

    def save(self, rows: Sequence[Row], within: Callable[[], None] | None = None) -> list[str]:
        """As `ResultStore.save`. `within` is called again when the transaction is repeated."""
        if not rows and within is None:
            return []
        within = within or _nothing
        # In one order everywhere: two clusters with the same tasks would deadlock else.
        rows = sorted(rows, key=operator.attrgetter("id"))
        try:
            return self._patiently(lambda: self._save_batch(rows, within))
        except _BatchRefused:
            return self._patiently(lambda: self._save_row_by_row(rows, within))

    def ending(self, task_id: str, number: int) -> Ending | None:
        """Tell how this run of a task ended, if that is recorded. Raises ResultsUnavailable."""
        return self._patiently(lambda: ending(self.alias, task_id, number))

    def attempts(self, task_id: str) -> int:
        """Tell how many runs of a task were recorded. Raises ResultsUnavailable."""
        found = self._patiently(lambda: list(self._look([task_id], "attempt_count")))
        return int(found[0][0]) if found else 0

    def keep(self, row: Row) -> bool:
        """Write one row in the caller's transaction; False where another run's success stands.

        Raises what the database makes of it.
        """
        self._writer.upsert(row)
        return not self._recorded_by_others([row])

    # -- the two ways to write -------------------------------------------------------------

    def _save_batch(self, rows: Sequence[Row], within: Callable[[], None]) -> list[str]:
        """Write new rows in one go. Raises _BatchRefused if one cannot be taken as it is."""
        # Before the transaction, since in there nobody else may write to SQLite.
        with _refusals_told():
            values = self._writer.values(rows)
        with self.transaction():
            if values:
                with _refusals_told():
                    self._writer.insert(values)
            within()
        return []

    def _save_row_by_row(self, rows: Sequence[Row], within: Callable[[], None]) -> list[str]:
        """Write each row for itself: over a recorded failure, never over a success."""
        refused: dict[str, tuple[Row, str]] = {}
        with self.transaction():
            for row in rows:
                error = self._refusal(row)
                if error is not None:
                    reason = f"The result could not be stored: {error}"
                    refused[row.id] = row, reason
                    self._write_instead(row, reason)
            others = self._recorded_by_others(rows)
            within()
        for row, reason in refused.values():
            logger.error("%s (%s): %s", row.name, row.id, reason)
        return [id for id in others if id not in refused]

    def _refusal(self, row: Row) -> Exception | None:
        """Write one row; give the error if the database refuses it."""
        try:
            with transaction.atomic(using=self.alias):
                self._writer.upsert(row)
        except Exception as error:
            if not is_refusal(error):
                raise
            return error
        return None

    def _write_instead(self, row: Row, reason: str) -> None:
        """Write a failed row that says why; without the arguments, if they are what is refused."""
        failed = row._replace(success=False, result=seal_value(reason))
        if self._refusal(failed) is None:
            return
        self._refusal(bare_row(row, reason))

    # -- looking ---------------------------------------------------------------------------

    def _recorded_by_others(self, rows: Sequence[Row]) -> list[str]:
        """Give the ids whose recorded run is another one, once every row was upserted."""
        ids = [row.id for row in rows]
        runs = {id: run for id, *run in self._look(ids, "id", "started", "stopped")}
        return [
            row.id
            for row in rows
            if runs.get(row.id) != [storable(row.started), storable(row.stopped)]
        ]

    def _look(self, ids: Sequence[str], *columns: str) -> Iterator[Any]:
        tasks = Task.objects.using(self.alias).order_by()
        for start in range(0, len(ids), _LOOK):
            yield from tasks.filter(pk__in=ids[start : start + _LOOK]).values_list(*columns)

    # -- the connection --------------------------------------------------------------------

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Open a transaction that is meant to write.

        SQLite has to know that from the start: what began with a read cannot wait for its turn.
        """
        connection: Any = connections[self.alias]
        connection.ensure_connection()
        if connection.vendor != "sqlite":
            with transaction.atomic(using=self.alias):
                yield
            return
        usual, connection.transaction_mode = connection.transaction_mode, "IMMEDIATE"
        try:
            with transaction.atomic(using=self.alias):
                yield
        finally:
            connection.transaction_mode = usual

    def _patiently(self, action: Callable[[], _Given]) -> _Given:
        """Do a whole transaction, again if that can help.

        Raises ResultsUnavailable and closes the connection if it cannot.
        """
        connection = connections[self.alias]
        end = time.monotonic() + _PATIENCE
        # A connection from before may have been cut since: then a new one does it.
        may_be_stale = connection.connection is not None
        while True:
            try:
                return action()
            except Error as error:
                # In a transaction of the caller's own there is nothing that we could repeat.
                can_repeat = not connection.in_atomic_block
                passes = _passes(error)
                is_stale = may_be_stale and isinstance(error, (OperationalError, InterfaceError))
                if can_repeat and not passes:
                    connection.close()
                if not can_repeat or not (is_stale or passes) or time.monotonic() > end:
                    raise self._unavailable(error) from error
                may_be_stale = may_be_stale and passes
            time.sleep(random.uniform(0, _PAUSE))  # noqa: S311

    def _unavailable(self, error: Error) -> ResultsUnavailable:
        return ResultsUnavailable(
            f"The database of the results, {self.alias!r} ({connections[self.alias].vendor}), "
            f"failed; nothing was saved: {cause(error)}"
        )


class _BatchRefused(Exception):
    """One of the rows cannot be inserted: it is there already, or the database refuses it."""


@contextlib.contextmanager
def _refusals_told() -> Iterator[None]:
    """Raise _BatchRefused instead of an error for which a row is to blame."""
    try:
        yield
    except Exception as error:
        if is_refusal(error):
            raise _BatchRefused from error
        raise


def _nothing() -> None:
    """Stand in for a `within` that was not given."""


def _passes(error: Error) -> bool:
    """Tell whether the same transaction may well succeed a moment later."""
    cause = error.__cause__
    code = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    return (
        code in _PASSING
        or bool(error.args and error.args[0] in _PASSING)
        or "is locked" in str(error)
    )
