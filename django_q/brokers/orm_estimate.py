"""About how many rows of the ORM broker wait, where there are too many to count: from samples.

Called by `Rows`, which has the connection. The statistics of the database are no help: they are as
old as its last look at the table, and a queue is another one in a second.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from django_q.brokers.estimate import Estimate
from django_q.brokers.orm_sql import Statements

#: Pages of the table that are looked through on PostgreSQL, a dozen rows in each: some 6 ms. The
#: number that really is chosen differs by some 3 %, and the estimate with it.
PAGES = 1000
#: Parts that the ids are divided into elsewhere, and ids that are looked up in each.
PARTS, BLOCK = 100, 20
#: Pieces that one round makes of a part: two rounds make a hundred parts.
_PIECES = 10
_CUTS = range(1, _PIECES)
#: Most rounds: those beyond two are for gaps.
_ROUNDS = 6
#: Cuts or ranges in one statement. A connection to SQLite keeps its last 128 statements, by their
#: text: few lengths, and no ids in them, make few. A hundred ranges in each took 24 MB.
_AT_ONCE = 10

_Item = TypeVar("_Item")

#: Runs a statement with its values.
Fetch = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]
#: First and last id of a part; both exist.
_Part = tuple[int, int]


def by_pages(fetch: Fetch, sql: Statements, values: Sequence[Any]) -> Estimate:
    """Count in some pages of the table, chosen by chance (PostgreSQL)."""
    ((pages,),) = fetch(sql.pages, [])
    share = min(1.0, PAGES / max(pages, 1))
    ((found,),) = fetch(sql.sample_pages, [100 * share, *values])
    return Estimate.rounded(found / share)


def by_ids(fetch: Fetch, sql: Statements, values: Sequence[Any]) -> Estimate:
    """Count in short ranges of ids, one in each part of those that there are."""
    ((first, last),) = fetch(sql.ends, [])
    parts = _parts(fetch, sql, (first, last)) if first is not None else []
    if not parts:
        return Estimate(0)
    ranges = [(low, min(high, low + BLOCK - 1)) for low, high in map(_shifted, parts)]
    # In any order, so each brings the id that its range begins with.
    found: dict[int, int] = {}
    for some in _grouped(ranges):
        text = " UNION ALL ".join([sql.sample_ids] * len(some))
        found.update(
            fetch(text, [value for low, high in some for value in (low, low, high, *values)])
        )
    return Estimate.rounded(
        sum(
            found[low] * (part[1] - part[0] + 1) / (high - low + 1)
            for part, (low, high) in zip(parts, ranges, strict=True)
        )
    )


def _grouped(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    return (items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE))


def _shifted(part: _Part) -> _Part:
    """Let a part begin by chance, as far as a whole block fits into it still."""
    low, high = part
    return random.randint(low, max(low, high - BLOCK + 1)), high  # noqa: S311


def _parts(fetch: Fetch, sql: Statements, whole: _Part) -> list[_Part]:
    """Cut the ids until each part is a small share; what lies in gaps between is in none.

    A package held back for a year leaves a gap of millions behind it, which is gone at the first
    cut.
    """
    parts = [whole]
    for _ in range(_ROUNDS):
        # Twice the mean: what rounding made one id longer than others is not cut once more.
        longest = max(BLOCK, 2 * sum(high - low + 1 for low, high in parts) / PARTS)
        to_cut = [part for part in parts if part[1] - part[0] + 1 > longest]
        if not to_cut:
            break
        cuts = [low + (high - low + 1) * n // _PIECES for low, high in to_cut for n in _CUTS]
        ends: list[int | None] = []
        for some in _grouped(cuts):
            columns = ", ".join([sql.beside] * len(some))
            (found,) = fetch(f"SELECT {columns}", [cut for cut in some for _ in range(2)])
            ends += found
        parts = [part for part in parts if part not in to_cut]
        for number, (low, high) in enumerate(to_cut):
            own = ends[2 * len(_CUTS) * number :][: 2 * len(_CUTS)]
            pieces = zip([low, *own[1::2]], [*own[::2], high], strict=True)
            # An empty piece begins behind its end; and what was there may have gone since.
            parts += [(a, b) for a, b in pieces if a is not None and b is not None and a <= b]
    return parts
