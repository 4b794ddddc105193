"""Binds workers to processors, for `Q_CLUSTER["cpu_affinity"]`."""

import os


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
