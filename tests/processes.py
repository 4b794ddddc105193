"""A `qcluster` as a test sees it: a real process tree with a log."""

import json
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from .waiting import LIMIT, wait_until

ROOT = Path(__file__).parents[1]
#: What a cluster logs when all its children are up.
READY = re.compile(r"Q Cluster\b.*\brunning\b")
#: Stands in the environment of a cluster's every process, so that none can hide.
_MARK = "TEST_CLUSTER_MARK"


class ClusterProcess:
    """One `manage.py qcluster`, in a session (process group) of its own.

    Made by the `cluster` fixture, which ends it with the test.
    """

    def __init__(
        self,
        directory: Path,
        settings: dict[str, Any],
        *arguments: str,
        python: str = sys.executable,
        **variables: str,
    ) -> None:
        self._mark = uuid.uuid4().hex
        self._path = directory / f"cluster-{self._mark[:8]}.log"
        self._known: set[psutil.Process] = set()
        environment = {
            **os.environ,
            "TEST_Q_CLUSTER": json.dumps(settings),
            "DJANGO_SETTINGS_MODULE": "tests.site.settings",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            _MARK: self._mark,
            **variables,
        }
        with open(self._path, "ab") as log:
            self.popen = subprocess.Popen(
                [python, "-m", "django", "qcluster", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=directory,
                env=environment,
                start_new_session=True,
            )
        self._known.add(psutil.Process(self.pid))

    @property
    def pid(self) -> int:
        """The supervisor: the process that `qcluster` is."""
        return self.popen.pid

    @property
    def is_running(self) -> bool:
        """Whether the supervisor lives."""
        return self.popen.poll() is None

    def log(self) -> str:
        """What the whole tree has printed so far."""
        return self._path.read_text(errors="replace")

    def wait_ready(self, limit: float = 2 * LIMIT) -> "ClusterProcess":
        """Wait until the cluster says that it works; fails with its log when it ends before."""
        wait_until(lambda: READY.search(self.log()) or not self.is_running, limit, what="cluster")
        assert self.is_running, f"qcluster ended with {self.popen.returncode}:\n{self.log()}"
        return self

    def wait_log(self, pattern: str, limit: float = LIMIT) -> str:
        """Wait until a line of the log matches, and give that line."""

        def line() -> str | None:
            found = re.search(f"^.*(?:{pattern}).*$", self.log(), re.MULTILINE)
            return found and found.group()

        return wait_until(line, limit, what=f"log line {pattern!r}") or ""

    def children(self) -> list[psutil.Process]:
        """The workers and the housekeeper now, oldest first."""
        found = _children(self.pid)
        # Not by fork, they have others beside them, or between the supervisor and them: these
        # stand in its process group, and a worker in its own.
        for helper in [child for child in found if _group(child) == self.pid]:
            found += _children(helper.pid)
        self._known.update(found)
        found = [child for child in found if _group(child) == child.pid]
        return sorted(found, key=lambda child: (child.create_time(), child.pid))

    def family(self) -> list[psutil.Process]:
        """Every living process of the tree, orphans and the tasks' own children included."""
        self._known.update(process for process in psutil.process_iter() if self._is_ours(process))
        return [process for process in self._known if _lives(process)]

    def wait(self, limit: float = 35.0) -> int:
        """Wait until the supervisor has ended, and give its exit code."""
        return self.popen.wait(limit)

    def stop(self, number: int = signal.SIGTERM, limit: float = 35.0) -> int:
        """Send a signal to the supervisor alone and wait for its exit code."""
        self.family()
        if self.is_running:
            self.popen.send_signal(number)
        return self.wait(limit)

    def signal_group(self, number: int) -> None:
        """Send a signal to the whole process group, as a terminal does for Ctrl-C."""
        os.killpg(self.pid, number)

    def kill(self) -> None:
        """SIGKILL the whole tree at once."""
        _kill(self.family())
        self.popen.wait(10)

    def close(self) -> None:
        """Leave nothing behind: ask the supervisor, then SIGKILL whatever still lives."""
        try:
            self.stop(limit=10)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if os.getsid(process.pid) == self.pid:
                return True
            # A task may make a session of its own; setproctitle may hide the environment.
            return process.environ().get(_MARK) == self._mark
        except (OSError, psutil.Error):
            return False


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children()
    except psutil.NoSuchProcess:
        return []


def _group(process: psutil.Process) -> int:
    try:
        return os.getpgid(process.pid)
    except ProcessLookupError:
        return 0


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            pass
