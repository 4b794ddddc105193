"""One run of one peer, seen from outside: its producer, its workers, and the marks of its tasks."""

import contextlib
import json
import os
import select
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import environments, processes
from benchmarks.catalogue import Entry
from benchmarks.ground import Ground
from benchmarks.scene import Scene
from benchmarks.tasks import MARK

#: Seconds: workers must have booted, and have ended, in that time.
_BOOT_LIMIT = 120
_STOP_LIMIT = 30
#: Seconds without progress after which a run is given up, and for one answer of the producer.
_STALL_LIMIT = 60
_ANSWER_LIMIT = 600
#: Seconds between two looks.
_PAUSE = 0.005


class RunFailed(Exception):
    """A peer did not do what was asked; the text has the end of its log."""


class Mark(NamedTuple):
    """What a task left when it began: `benchmarks.tasks.MARK`."""

    number: int
    pid: int
    parent: int
    moment: int


class Stage:
    """A peer with empty stores. The workers are started by `start`."""

    def __init__(self, entry: Entry, scene: Scene, server: list[int]) -> None:
        self.entry = entry
        self.scene = scene
        #: The root of the server's processes; empty for files.
        self.server = server
        self.roots: list[int] = []
        #: The processes in which tasks ran while it started.
        self.workers: list[int] = []
        self._workers: list[subprocess.Popen[bytes]] = []
        self._marks = Path(scene.marks)
        self._marks.touch()
        self._log = Path(scene.directory, "log").open("w+b")
        self._python = environments.python_of(entry.peer)
        self._environment = {
            **os.environ,
            **scene.environment(),
            "PYTHONPATH": environments.path_of(entry.peer),
            "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
        }
        self._producer = subprocess.Popen(  # noqa: S603
            [self._python, "-m", "benchmarks.producer", entry.peer.module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=scene.directory,
            env=self._environment,
        )

    def ask(self, do: str, **words: Any) -> Any:
        """Let the producer do something; its answer."""
        assert self._producer.stdin is not None
        assert self._producer.stdout is not None
        self._producer.stdin.write(json.dumps({"do": do, **words}).encode() + b"\n")
        self._producer.stdin.flush()
        ready, _, _ = select.select([self._producer.stdout], [], [], _ANSWER_LIMIT)
        line = self._producer.stdout.readline() if ready else b""
        if not line:
            what = "ended" if ready else "is silent"
            raise RunFailed(f"The producer of {self.entry} {what} at {do!r}:\n{self.log()}")
        return json.loads(line)

    def start(self) -> None:
        """Start the workers; returns when each has run a task and nothing is left to do."""
        for words in self.ask("commands"):
            self._workers.append(self.launch(words))
        self.roots = [process.pid for process in self._workers]
        sent = 0
        end = time.monotonic() + _BOOT_LIMIT
        while len(self._who_works()) < self.scene.workers:
            if time.monotonic() > end:
                raise RunFailed(f"Not all workers of {self.entry} have started:\n{self.log()}")
            count = self.scene.workers * max(2, self.scene.concurrency)
            self.ask("send_each", kind="wait", first=sent, count=count)
            sent += count
            self.settle(sent, 0)
        self.workers = sorted(self._who_works())
        self.forget_marks()

    def launch(self, words: list[str]) -> subprocess.Popen[bytes]:
        """Start a module of Python in the peer's environment, the root of a session."""
        return subprocess.Popen(  # noqa: S603
            [self._python, "-m", *words],
            stdout=self._log,
            stderr=self._log,
            cwd=self.scene.directory,
            env=self._environment,
            start_new_session=True,
        )

    def _who_works(self) -> set[int]:
        return {mark.parent if self.entry.forks else mark.pid for mark in self.marks()}

    def pause(self) -> None:
        """Stop all processes of the peer where they are, but none that could lock out the site."""
        with _writing(self._files()):
            for pid in processes.tree(*self.roots):
                os.kill(pid, signal.SIGSTOP)
            self.wait(lambda: processes.are_stopped(processes.tree(*self.roots)), "the pause")

    def _files(self) -> list[str]:
        """Files of SQLite that both sides write."""
        names = [self.scene.url, self.scene.database["NAME"]]
        return [name for name in names if name.endswith(".sqlite3") and os.path.exists(name)]

    def go(self) -> None:
        """Let them go on."""
        for pid in processes.tree(*self.roots):
            os.kill(pid, signal.SIGCONT)

    def settle(self, count: int, results: int) -> None:
        """Wait until so many tasks have begun, nothing is unsettled, and all results are stored.

        `results` is how many there were before; variants that store nothing are not asked.
        """
        self.wait(lambda: self.executed() >= count, f"the execution of {count} tasks")
        self.wait(lambda: self.ask("unsettled") == 0, f"the acknowledgement of {count} tasks")
        if self.scene.stores:
            self.wait(lambda: self.ask("results") - results >= count, f"{count} results")

    def settle_first(self, count: int, left: int) -> None:
        """Wait until so many tasks have begun, and no more than `left` are unsettled.

        They are not counted one by one: with a million that wait this would be a load of its own.
        """
        self.wait(lambda: self.executed() >= count, f"the execution of {count} tasks")
        self.wait(lambda: self.ask("unsettled_at_most") <= left, f"the end of all tasks but {left}")

    def executed(self) -> int:
        """How many marks there are; costs nothing."""
        return self._marks.stat().st_size // MARK.size

    def marks(self) -> list[Mark]:
        """All marks."""
        return [Mark(*fields) for fields in MARK.iter_unpack(self._marks.read_bytes())]

    def forget_marks(self) -> None:
        """Begin to count anew."""
        os.truncate(self._marks, 0)

    def prove(self, count: int) -> dict[str, float]:
        """RunFailed unless tasks 0 to `count` - 1 were executed; how many more than once."""
        times = Counter(mark.number for mark in self.marks())
        if missing := count - len(times.keys() & set(range(count))):
            raise RunFailed(f"{self.entry}: {missing} of {count} tasks were never executed.")
        return {"repeated": sum(times.values()) - count}

    def wait(self, is_done: Callable[[], bool], what: str) -> None:
        """Wait for a condition; RunFailed when tasks stand still for a minute."""
        seen, end = self.executed(), time.monotonic() + _STALL_LIMIT
        while not is_done():
            if seen != (seen := self.executed()):
                end = time.monotonic() + _STALL_LIMIT
            if time.monotonic() > end or any(each.poll() is not None for each in self._workers):
                raise RunFailed(f"{self.entry} did not get to {what}:\n{self.log()}")
            time.sleep(_PAUSE)

    def log(self) -> str:
        """The end of what its processes printed."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-3000:]

    def close(self) -> None:
        """End the workers and the producer."""
        everybody = processes.tree(*self.roots)
        self.go()
        for process in self._workers:
            process.send_signal(signal.SIGTERM)
        end = time.monotonic() + _STOP_LIMIT
        for process in self._workers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, end - time.monotonic()))
        for pid in everybody:
            # Its number may belong to a stranger by now.
            if processes.session(pid) in self.roots:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._producer.kill()
        for process in (*self._workers, self._producer):
            process.wait()
        self._log.close()


@contextlib.contextmanager
def _writing(files: list[str]) -> Iterator[None]:
    """Be the only one who writes: SQLite has one writer at a time."""
    with contextlib.ExitStack() as stack:
        for name in files:
            connection = sqlite3.connect(name, timeout=_STALL_LIMIT, isolation_level=None)
            stack.callback(connection.close)
            connection.execute("BEGIN IMMEDIATE")
        yield


@contextlib.contextmanager
def stage(
    entry: Entry, ground: Ground, workers: int, concurrency: int, turns: int
) -> Iterator[Stage]:
    """Set one up on empty stores, and take it down."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as directory:
        url, database = ground.clear(Path(directory))
        scene = Scene(
            peer=entry.peer.name,
            variant=entry.variant,
            broker=ground.broker,
            url=url,
            database=database,
            directory=directory,
            marks=str(Path(directory, "marks")),
            workers=workers,
            concurrency=concurrency,
            turns=turns,
        )
        made = Stage(entry, scene, ground.pids())
        try:
            made.ask("prepare")
            yield made
        finally:
            made.close()
