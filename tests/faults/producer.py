"""A producer of its own beside the clusters: a process that sends tasks one by one."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from tests.cluster.trace import Trace
from tests.faults.arena import Arena
from tests.processes import ROOT

#: Seconds that a call may hang which the producer is at when it is told to end.
_LAST_CALL = 120
#: Tasks of a producer that is not told how many.
_ENDLESS = 1_000_000


class Producer:
    """One process of `tests.faults.sending`, for `with`; it is killed at the end if it still runs.

    `settings` are what differs in its `Q_CLUSTER` from that of the arena.
    """

    def __init__(
        self, arena: Arena, pause: float, *way: str, count: int = _ENDLESS, **settings: Any
    ) -> None:
        self._record = _new(arena.folder, "producer")
        #: What its tasks leave behind; those of other producers too.
        self.trace = Trace(arena.folder / "producers-trace")
        variables = {"TEST_Q_CLUSTER": json.dumps({**arena.settings, **settings})}
        words = [self.trace.path, str(self._record), str(pause), str(count), *way]
        with open(f"{self._record}.log", "wb") as log:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.sending", *words],
                cwd=ROOT,
                env=os.environ | variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def is_running(self) -> bool:
        """Whether it still sends."""
        return self._popen.poll() is None

    def kill(self) -> None:
        """SIGKILL it."""
        self._popen.kill()
        self._popen.wait()

    def stop(self) -> None:
        """Let it end after the task it is at."""
        self._popen.send_signal(signal.SIGTERM)
        self._popen.wait(_LAST_CALL)

    def lines(self, word: str) -> list[list[str]]:
        """What it wrote with this word: token, seconds and error of each."""
        lines = (line.split(" ", 3) for line in self._record.read_text().split("\n")[:-1])
        return [line[1:] for line in lines if line[0] == word]

    def accepted(self) -> set[str]:
        """Tokens of the tasks that were accepted."""
        return {line[0] for line in self.lines("sent")}

    def missing(self) -> set[str]:
        """Tokens of the tasks that were accepted and have not ended."""
        return self.accepted() - set(self.trace.ended())

    def longest(self) -> float:
        """Seconds of the longest call that has come back."""
        ended = self.lines("sent") + self.lines("refused")
        return max((float(line[1]) for line in ended), default=0.0)


def _new(folder: Path, name: str) -> Path:
    path = folder / f"{name}-{len(list(folder.glob(f'{name}-*.log')))}"
    path.touch()
    return path
