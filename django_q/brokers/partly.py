"""Calls that keep many packages, and fail when some of them are kept.

Who calls again is to send the others only.
"""

import contextlib
from collections.abc import Iterable, Iterator


@contextlib.contextmanager
def partly() -> Iterator[list[str]]:
    """Give the list for the ids of what is kept; an error then says in `taken` which those are.

    So does one that a broker of one's own lets its client raise.
    """
    kept: list[str] = []
    try:
        yield kept
    except Exception as error:
        behind = [len(kept) + place for place in taken_before(error)]
        error.taken = [*range(len(kept)), *behind]  # type: ignore[attr-defined]
        raise


def taken_before(error: BaseException) -> list[int]:
    """Give the places of those packages of a call that were kept before it failed."""
    return list(getattr(error, "taken", ()))


def split(tasks: Iterable[str], number: int, size: int) -> Iterator[list[str]]:
    """Split into lists of `number` packages, fewer where they reach `size` characters."""
    batch: list[str] = []
    filled = 0
    for task in tasks:
        batch.append(task)
        filled += len(task)
        if len(batch) >= number or filled >= size:
            yield batch
            batch, filled = [], 0
    if batch:
        yield batch
