"""The memory of a cluster's processes: read here, or as far as their heartbeats tell it.

By psutil where it is installed, else from Linux's /proc (its manual page proc(5)).
"""

import dataclasses
import re
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from django_q.status import Stat

psutil: Any
try:
    import psutil
except ImportError:  # /proc then
    psutil = None

_PROC = Path("/proc")
_KIB = re.compile(r"^(\w+):\s+(\d+) kB$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Usage:
    """Bytes of memory; None where they cannot be known."""

    #: All that is in memory, what others share included.
    resident: int | None = None
    #: The same with what is shared divided among those who share it: these add up.
    share: int | None = None


@dataclasses.dataclass(frozen=True)
class Process:
    """One process of a cluster."""

    #: "supervisor", "housekeeper" or "worker".
    role: str
    pid: int
    #: What a worker runs, or its state; empty for the others.
    task: str
    usage: Usage


@dataclasses.dataclass(frozen=True)
class ClusterMemory:
    """The processes of one cluster."""

    stat: Stat
    #: On this host, so that its processes can be read.
    is_here: bool
    processes: Sequence[Process]

    def total(self) -> Usage:
        """Give the sums; None where a part of them is not known."""
        usages = [process.usage for process in self.processes]
        return Usage(
            _sum([usage.resident for usage in usages]), _sum([usage.share for usage in usages])
        )


@dataclasses.dataclass(frozen=True)
class Machine:
    """The memory of this host in bytes; None where it cannot be known."""

    total: int | None = None
    available: int | None = None


def cluster_memory(stat: Stat) -> ClusterMemory:
    """Look at the processes of a cluster. Those of another host are known by its heartbeat."""
    is_here = stat.host == socket.gethostname()
    return ClusterMemory(stat, is_here, list(_processes(stat, is_here)))


def machine_memory() -> Machine:
    """Look at the memory of this host."""
    if psutil is not None:
        memory = psutil.virtual_memory()
        return Machine(memory.total, memory.available)
    values = _fields(_PROC / "meminfo")
    return Machine(values.get("MemTotal"), values.get("MemAvailable"))


def _processes(stat: Stat, is_here: bool) -> Iterator[Process]:
    for role, pid in (("supervisor", stat.sentinel), ("housekeeper", stat.housekeeper)):
        if pid:
            yield Process(role, pid, "", _usage(pid) if is_here else Usage())
    for worker in sorted(stat.worker_states, key=lambda worker: worker.get("slot", 0)):
        pid = worker["pid"]
        usage = _usage(pid) if is_here else Usage(worker.get("rss") or None)
        yield Process("worker", pid, worker.get("task_name") or worker.get("state", ""), usage)


def _usage(pid: int) -> Usage:
    """Read the memory of a process of this host; nothing is known of one that is gone."""
    if psutil is None:
        resident = _fields(_PROC / str(pid) / "status").get("VmRSS")
        return Usage(resident, _fields(_PROC / str(pid) / "smaps_rollup").get("Pss"))
    try:
        process = psutil.Process(pid)
        resident = process.memory_info().rss
    except psutil.Error:
        return Usage()
    try:
        return Usage(resident, getattr(process.memory_full_info(), "pss", None))
    except psutil.Error:  # somebody else's process
        return Usage(resident)


def _fields(path: Path) -> dict[str, int]:
    """Read the fields of a file of /proc that have a size, in bytes; {} if it cannot be read."""
    try:
        text = path.read_text()
    except OSError:
        return {}
    return {name: int(size) * 1024 for name, size in _KIB.findall(text)}


def _sum(sizes: Sequence[int | None]) -> int | None:
    known: list[Any] = [size for size in sizes if size is not None]
    return sum(known) if known and len(known) == len(sizes) else None
