"""Binds workers to processors, for `Q_CLUSTER["cpu_affinity"]`."""

import os
from collections.abc import Sequence


def processors_for(position: int, width: int, available: list[int]) -> list[int]:
    """Give the `width` processors of the worker at `position`, going round when they run out."""
    width = min(width, len(available))
    start = position * width
    return [available[(start + n) % len(available)] for n in range(width)]


def bind_to_processors(position: int, width: int, pid: int) -> None:
    """Let a process run on its share of the processors only; nothing where the system cannot."""
    if not hasattr(os, "sched_setaffinity"):
        return
    available = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(pid, processors_for(position, width, available))


def set_cpu_affinity(n: int, process_ids: Sequence[int], actual: bool = True) -> None:
    """Spread processes over the processors, each on `n` of them, as Django Q's function did.

    Nothing happens with `n` of 0 or of all processors, nor if not `actual`. Nobody calls it here.
    """
    if not actual or not 0 < n < (os.cpu_count() or 1):
        return
    for position, pid in enumerate(process_ids):
        bind_to_processors(position, n, pid)
