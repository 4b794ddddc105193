"""One result as a row, and what keeps rows: `ResultStore`.

Rows are made in a worker's main thread, since pickling a value is user code; they are written by
its clerk, or by the housekeeper after the worker was killed, so they hold plain values only.
"""

import functools
import os
import socket
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django_q.conf import Conf
from django_q.order_options import HIGHEST
from django_q.package import Outcome, function_path
from django_q.stored import seal_value


class Row(NamedTuple):
    """One outcome as the columns of `django_q_task`, in this order; values as signed text."""

    id: str
    name: str
    func: str
    hook: str | None
    args: str | None
    kwargs: str | None
    result: str | None
    group: str | None
    cluster: str | None
    started: datetime
    stopped: datetime
    success: bool
    attempt_count: int
    enqueued: datetime
    #: Where it ran, as `host:pid`.
    worker: str | None = None
    #: Why it failed, one of `FailureCause`; None for a success.
    cause: str | None = None
    #: Dotted path of the exception's class, if it raised one.
    error: str | None = None
    #: As its sender said; None where he did not.
    priority: int | None = None
    run_at: datetime | None = None


class ResultStore:
    """Keeps rows. Used by several threads of a process, each on its own connection."""

    #: Database alias whose transactions the store takes part in; None where it has none.
    alias: str | None = None

    def save(self, rows: Sequence[Row], within: Callable[[], None] | None = None) -> list[str]:
        """Keep the rows; a recorded success stands, a recorded failure is overwritten.

        `within` runs in the same transaction, where there is one, after the rows were written.
        Gives the ids of rows that were *not* taken since another run's success stands already.
        A row that cannot be stored becomes a failed row that says so. Raises ResultsUnavailable,
        with nothing kept, when the server is away.
        """
        raise NotImplementedError


def encode_row(outcome: Outcome, *, with_values: bool = True) -> Row:
    """Make the row of an outcome. Runs user code (pickling) and raises whatever that raises.

    Not so without the values (arguments and result): a row that nobody keeps has no use for them.
    """
    package = outcome.package
    hook, group, cluster = package.get("hook"), package.get("group"), package.get("cluster")
    # Fields by their position, in the order of `Row`: with so many, names would double the cost.
    return Row(
        package["id"],
        str(package["name"]),
        str(package.get("shown_as") or function_path(package["func"])),
        None if hook is None else function_path(hook),
        seal_value(tuple(package["args"])) if with_values else None,
        seal_value(package["kwargs"]) if with_values else None,
        seal_value(outcome.result) if with_values else None,
        None if group is None else str(group),
        (None if cluster is None else str(cluster)) or Conf.CLUSTER_NAME,
        outcome.started,
        outcome.stopped,
        outcome.success,
        package.get("attempt", 1),
        package["started"],
        worker_name(),
        # The plain text: JSON has no words for a member of an enum.
        None if outcome.cause is None else outcome.cause.value,
        None if outcome.error is None else function_path(type(outcome.error)),
        _priority(package.get("priority")),
        _moment(package.get("run_at")),
    )


def bare_row(row: Row, reason: str) -> Row:
    """Give the failed row of a task that says why the outcome cannot be stored.

    Of all that came with the task it has the beginnings of its names, in what every store takes.
    """
    return row._replace(
        name=_printable(row.name, 100),
        func=_printable(row.func, 256),
        hook=None,
        args=None,
        kwargs=None,
        result=seal_value(_printable(reason, len(reason))),
        group=None,
        cluster=None,
        enqueued=row.started,
        success=False,
        priority=None,
        run_at=None,
    )


@functools.cache
def worker_name() -> str:
    """Give what results call this process: `host:pid`."""
    _forget_in_children()
    return f"{socket.gethostname()[:80]}:{os.getpid()}"


@functools.cache
def _forget_in_children() -> None:
    """Let a forked process ask for its own name; once, since children inherit that too."""
    if hasattr(os, "register_at_fork"):  # Windows has no forks
        os.register_at_fork(after_in_child=worker_name.cache_clear)


# Of a package that another program wrote, or a receiver of `pre_enqueue` added to, nobody has
# checked these two: what means nothing is left out.


def _priority(value: Any) -> int | None:
    return value if type(value) is int and abs(value) <= HIGHEST else None


def _moment(value: Any) -> datetime | None:
    # In another zone the first or last day may be in a year that cannot be read back.
    return value if isinstance(value, datetime) and 1 < value.year < 9999 else None


def _printable(text: str, longest: int) -> str:
    """Leave of a text what every database takes."""
    return text.encode("ascii", "replace").decode().replace("\0", "?")[:longest]
