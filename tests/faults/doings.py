"""What the processes of clusters are doing, for the record of a run that failed."""

import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import psutil

from tests.processes import ClusterProcess

#: Shows Python stacks from outside; only used where it is installed.
_SPY = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")


def write_doings(path: Path, clusters: Iterable[ClusterProcess]) -> None:
    """Write each living process, its state, and its Python stack where `py-spy` is there."""
    with open(path, "w") as record:
        for process in (each for cluster in clusters for each in cluster.family()):
            record.write(f"{_state(process)}\n{_stack(process.pid)}\n")


def _state(process: psutil.Process) -> str:
    try:
        with process.oneshot():
            used = sum(process.cpu_times()[:2])
            return (
                f"{process.pid} (of {process.ppid()}) {process.status()}, {used:.2f} s of CPU, "
                f"{process.num_threads()} threads, {process.num_fds()} files: "
                + " ".join(process.cmdline())
            )
    except psutil.Error as error:
        return f"{process.pid}: {error}"


def _stack(pid: int) -> str:
    if _SPY is None:
        return ""
    command = [_SPY, "dump", "--pid", str(pid)]
    try:
        spied = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except subprocess.TimeoutExpired:
        return "no stack within 10 s\n"
    return spied.stdout or spied.stderr
