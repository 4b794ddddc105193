"""From outcomes to results: `prepare` in the main thread, `record` in the clerk.

`prepare` does all that may run user code (pickling), so that a `Record` holds plain values only:
it can be written by the clerk, or by the housekeeper after the worker was killed.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.db import router
from django.db.models.signals import post_save

from django_q import following, plain_values, signals, uniqueness
from django_q.brokers import Lease
from django_q.conf import Conf, logger
from django_q.executor import error_text, finished_package, guarded, send_signal
from django_q.followers import what_follows
from django_q.functions import find_function
from django_q.iterations import part_of
from django_q.keeping import place_of
from django_q.models import Task
from django_q.package import FailureCause, Follower, Outcome
from django_q.policy import is_over
from django_q.results.attempts import attempt_values
from django_q.results.base import Row, encode_row
from django_q.results.cache import CachedRow, CacheStore
from django_q.results.database import DatabaseStore
from django_q.results.entries import Entry, write_entries
from django_q.results.gatherings import Part, keep_parts
from django_q.soft_limit import SoftLimit

#: Where a row has moments.
_MOMENTS = tuple(Row._fields.index(name) for name in ("started", "stopped", "enqueued"))

#: What is in the package of a task on which nothing hangs but its row.
_PLAIN = frozenset(
    ("id", "name", "func", "args", "kwargs", "started", "cluster", "ack_id")
    + ("group", "timeout", "save", "cached")
)


class Record(NamedTuple):
    """One outcome made ready for the books. Plain values: it survives in shared memory."""

    #: None when the result is recorded already and only the package has to go.
    row: Row | None
    #: The lease it ends; None for tasks run in place and for brokers without receipts.
    receipt: str | None = None
    #: Keep the row in the database.
    to_database: bool = False
    #: Keep the row in the cache for so many seconds; None for ever, False not at all.
    to_cache: float | bool | None = False
    #: Take the package away from its broker once the row is kept.
    acknowledge: bool = True
    #: Packages that come next.
    followers: tuple[Follower, ...] = ()
    #: What else is written in the transaction of the row.
    entries: tuple[Entry, ...] = ()
    #: The result as a part of a gathering.
    part: Part | None = None
    #: The main thread waits until it is settled, since user code (a hook) runs after it.
    is_awaited: bool = False
    #: Row, part, followers and acknowledgement were committed with what the task wrote.
    is_committed: bool = False
    #: Ledger row that is done with; only of packages that were delivered before.
    ledger_key: str | None = None


def pack(record: Record) -> bytes:
    """Give a record as bytes for the journal, bare of classes.

    Moments go as Unix times, which are exact to the microsecond: a pickled datetime costs as much
    as all the rest (measured: 2 us each on a quiet machine).
    """
    row: list[Any] | None = None
    if record.row is not None:
        row = list(record.row)
        for place in _MOMENTS:
            row[place] = row[place].timestamp() if row[place].tzinfo else row[place]
    return plain_values.dumps((row, *record[1:]))


def unpack(data: bytes) -> Record:
    """Give the record that was packed; only for bytes of our own memory."""
    row, *rest = plain_values.loads(data)
    if row is None:
        return Record(None, *rest)
    for place in _MOMENTS:
        if isinstance(row[place], float):
            row[place] = datetime.fromtimestamp(row[place], UTC)
    return Record(Row(*row), *rest)


class Stores(NamedTuple):
    """The result stores of one role, made once for each process."""

    database: DatabaseStore
    cache: CacheStore

    def attempts(self, task_id: str) -> int:
        """Tell how many runs of a task were recorded, wherever. Raises ResultsUnavailable."""
        found = self.database.attempts(task_id)
        if not found and Conf.CACHE and (task := self.cache.fetch(task_id)) is not None:
            found = int(task.attempt_count)
        return found


def make_stores() -> Stores:
    """Make the stores the settings name; connects to nothing."""
    return Stores(DatabaseStore(), CacheStore())


def prepare(outcome: Outcome, lease: Lease | None = None) -> tuple[Outcome, Record]:
    """Make the record of an outcome. Runs user code: pickles arguments and result.

    An outcome that cannot be pickled becomes a failure that says so; that outcome is given back.
    """
    if outcome.again_in is not None and lease is not None:
        again = _retrial(outcome, lease)
        if again is not None:
            return outcome, again
        outcome = outcome._replace(again_in=None)
    # Asked before the result is made ready: one that nobody keeps need not be one that can be kept.
    kept = place_of(outcome)
    outcome, row = _storable(outcome, with_values=kept.has_values)
    if not outcome.success:
        kept = place_of(outcome)
    has_listener = outcome.package.get("hook") is not None or bool(signals.post_execute.receivers)
    record = Record(
        row,
        None if lease is None else lease.receipt,
        kept.in_database,
        kept.in_cache,
        is_awaited=has_listener
        or (kept.in_database and bool(post_save.receivers) and post_save.has_listeners(Task)),
    )
    is_known = lease is not None and lease.deliveries != 1
    if outcome.success and not is_known and outcome.package.keys() <= _PLAIN:
        return outcome, record
    return outcome, _with_all_that_hangs_on_it(record, row, outcome, lease)


def _with_all_that_hangs_on_it(
    record: Record, row: Row, outcome: Outcome, lease: Lease | None
) -> Record:
    """Add to the record of an outcome what follows, what is freed, and whether it goes at all."""
    package = outcome.package
    is_known = lease is not None and lease.deliveries != 1
    # A failure without an error was not run any more, for what its runs did to their workers.
    is_done = outcome.error is None or is_over(
        package, outcome.error, lease.deliveries if lease else 1
    )
    return record._replace(
        acknowledge=is_done,
        # Of a task that comes back only the last run counts.
        followers=what_follows(outcome) if is_done else (),
        part=part_of(package, row) if is_done else None,
        entries=(
            *uniqueness.entries(package, is_done=is_done),
            *following.entries(outcome, is_known=is_known, is_done=is_done),
        ),
        ledger_key=lease.key if is_known and lease is not None else None,
    )


def _retrial(outcome: Outcome, lease: Lease) -> Record | None:
    """Make the record of a failure that is followed by another run; None when it cannot be.

    Hooks, links and parts wait for the last run.
    """
    again = what_follows(outcome, lease.payload)
    if not again:
        return None
    entry = Entry("attempt", attempt_values(outcome))
    is_known = lease.deliveries != 1
    return Record(
        row=None,
        receipt=lease.receipt,
        followers=again,
        entries=(
            entry,
            *uniqueness.entries(outcome.package, is_done=False),
            *following.entries(outcome, is_known=is_known, is_done=False),
        ),
        ledger_key=lease.key if lease.deliveries != 1 else None,
    )


def announce(outcome: Outcome, record: Record, soft_limit: SoftLimit) -> None:
    """Tell of an outcome, once, after it was settled. User code.

    To `post_save` of the row (which was not written through the model), hook, `post_execute`.
    """
    package = outcome.package
    hook = package.get("hook")
    if record.to_database and post_save.has_listeners(Task):
        with guarded(soft_limit, package, "post_save"):
            values = {"created": True, "raw": False, "update_fields": None}
            using = router.db_for_write(Task)
            send_signal(post_save, Task, instance=as_task(outcome), using=using, **values)
    # Not for each run of a task that comes back.
    if hook is not None and (record.acknowledge or record.receipt is None):
        with guarded(soft_limit, package, "The hook"):
            find_function(hook)(as_task(outcome))
    if signals.post_execute.receivers:
        with guarded(soft_limit, package, "post_execute"):
            finished: Any = finished_package(outcome)
            finished.pop("ack_id", None)
            send_signal(signals.post_execute, task=finished)


def call_hook(sender: Any, instance: Task, **kwargs: Any) -> None:
    """Call the hook of a task, as Django Q's receiver of `post_save` did. Nobody calls it here."""
    if instance.hook:
        try:
            find_function(instance.hook)(instance)
        except Exception:  # user code
            logger.exception("The hook of %s [%s] raised", instance.name, instance.id)


def as_task(outcome: Outcome) -> Task:
    """Give an outcome as the Task that hooks are called with; saving it updates its row."""
    package = outcome.package
    values = {"args": package["args"], "kwargs": package["kwargs"], "result": outcome.result}
    # The columns of the row, but without pickling these three once more.
    task = Task(**encode_row(_bare(outcome, result=None))._asdict() | values)
    task._state.adding = False
    return task


def record(
    records: Sequence[Record],
    stores: Stores,
    acknowledge: Callable[[Collection[str]], None] | None = None,
    broker_alias: str | None = None,
) -> None:
    """Keep the rows, then call `acknowledge`: in one transaction where broker and rows share one.

    Where they do not, it is given the ids of the tasks of which another run stands in the books.
    Raises ResultsUnavailable with nothing acknowledged when the results cannot be kept.
    """
    new = [record for record in records if not record.is_committed]
    rows = [record.row for record in new if record.to_database and record.row]
    cached = [CachedRow(r.row, r.to_cache) for r in new if r.row and r.to_cache is not False]
    others: list[str] = []
    if cached:
        others += stores.cache.save_cached(cached)
    parts = [record.part for record in new if record.part]
    entries = [entry for record in records for entry in record.entries]
    for done in records:
        if done.followers:
            entries += followed_entries(done.followers)
    shares = acknowledge is not None and broker_alias == stores.database.alias

    def within() -> None:
        if parts:
            keep_parts(parts)
        if entries:
            write_entries(entries)
        if shares and acknowledge is not None:
            acknowledge(())

    if rows or parts or entries or shares:
        others += stores.database.save(rows, within)
    _log_duplicates(others)
    if acknowledge is not None and not shares:
        acknowledge(others)


def followed_entries(followers: Iterable[Follower]) -> list[Entry]:
    """Give the rows of what follows and is followed itself; written before that is sent."""
    return [Entry("track", follower.row) for follower in followers if follower.row]


def _log_duplicates(task_ids: Iterable[str]) -> None:
    for task_id in task_ids:
        logger.warning(
            "Task [%s] ran twice: the first success stands, this one is dropped", task_id
        )


def _storable(outcome: Outcome, *, with_values: bool) -> tuple[Outcome, Row]:
    try:
        return outcome, encode_row(outcome, with_values=with_values)
    except BaseException as error:  # pickling runs code of the result: SystemExit and worse
        kind = type(outcome.result).__name__
        text = f"The result ({kind}) could not be stored: {error_text(error)}"
        failed = outcome._replace(success=False, error=error, result=text, cause=FailureCause.ERROR)
    try:
        return failed, encode_row(failed)
    except BaseException:  # the task changed an argument into something that cannot be pickled
        bare = _bare(failed, result=failed.result)
        return bare, encode_row(bare)


def _bare(outcome: Outcome, result: Any) -> Outcome:
    """Give an outcome without its arguments, and with this result."""
    package: Any = outcome.package | {"args": (), "kwargs": {}}
    return outcome._replace(package=package, result=result)
