"""What /proc tells of processes: who belongs to whom, CPU time, memory, state. Linux only."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


def tree(*roots: int) -> list[int]:
    """Pids of the roots and all that descend from them; those that have ended are left out."""
    found: list[int] = []
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        try:
            # Each thread lists the children that it has started.
            lists = [
                (task / "children").read_text() for task in (_PROC / str(pid) / "task").iterdir()
            ]
        except OSError:
            continue
        found.append(pid)
        waiting.extend(int(child) for words in lists for child in words.split())
    return found


def cpu_seconds(*roots: int) -> float:
    """CPU time, user and system, of the trees; that of children that have ended is in it."""
    total = 0.0
    for pid in tree(*roots):
        fields = _stat(pid)
        # From man 5 proc: utime, stime, and the same of children that were waited for.
        total += sum(int(field) for field in fields[11:15]) * _TICK
    return total


def precise_cpu_seconds(*roots: int) -> float:
    """CPU time of the threads that live, to the nanosecond: for those who do next to nothing."""
    total = 0
    for pid in tree(*roots):
        with contextlib.suppress(OSError):
            for task in (_PROC / str(pid) / "task").iterdir():
                total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def wake_ups(*roots: int) -> int:
    """How often the threads that live have slept so far, and been woken."""
    total = 0
    for pid in tree(*roots):
        with contextlib.suppress(OSError):
            for task in (_PROC / str(pid) / "task").iterdir():
                words = (task / "status").read_text().split()
                # From man 5 proc: each time a thread waits, it switches by its own will.
                total += int(words[words.index("voluntary_ctxt_switches:") + 1])
    return total


def pss(*roots: int) -> float:
    """Memory of the trees in MB, shared pages counted once (proportional set size)."""
    total = 0
    for pid in tree(*roots):
        try:
            lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def session(pid: int) -> int:
    """The session the process belongs to, which is the pid of the root; 0 when it has ended."""
    return int((_stat(pid) or [0] * 4)[3])


def are_stopped(pids: Iterable[int]) -> bool:
    """Whether each has been stopped by a signal, or has ended."""
    return all((_stat(pid) or ["X"])[0] in "TtZX" for pid in pids)


def _stat(pid: int) -> list[str]:
    """The fields after the name; empty for a process that has ended."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
