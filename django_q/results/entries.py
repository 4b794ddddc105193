"""What is written beside a task's row, in the same transaction: one kind of entry for each feature.

An entry is made where the outcome is made ready (main thread) and written by the clerk, or by the
housekeeper after the worker was killed. It holds plain values only.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from django_q.results import attempts, cancellations, keys, permits, tracking, waiting


class Entry(NamedTuple):
    """One thing to write: which kind, and the values that its writer takes."""

    kind: str
    values: tuple[Any, ...]


#: Kind -> what writes all entries of that kind in a batch. Each must bear to be called again.
_WRITERS: Mapping[str, Callable[[Sequence[tuple[Any, ...]]], None]] = {
    "attempt": attempts.write,
    "free_key": keys.free,
    "free_permit": permits.free,
    "track": waiting.keep_for_others,
    "untrack": tracking.untrack,
    "reschedule": tracking.reschedule,
    "uncancel": cancellations.uncancel,
}


def write_entries(entries: Sequence[Entry]) -> None:
    """Write entries inside the caller's transaction, kind by kind, in the order of first use."""
    by_kind: dict[str, list[tuple[Any, ...]]] = {}
    for entry in entries:
        by_kind.setdefault(entry.kind, []).append(entry.values)
    for kind, values in by_kind.items():
        _WRITERS[kind](values)
