"""The example as processes of its own."""

import contextlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

import django_q
from tests.example import EXAMPLE

#: Seconds the whole demo may take, on a machine that has other things to do as well.
DEMO_LIMIT = 200

#: Seconds that the demo may take to stop what it started: a cluster's own 25, and some.
STOP_LIMIT = 45

#: Stands in the environment of all of a site's processes, so that none can hide.
_MARK = "EXAMPLE_TEST_MARK"


@dataclass
class Site:
    """The example site with a database (and broker) of its own, run as child processes."""

    environment: dict[str, str]
    _mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    _started: list[subprocess.Popen[str]] = field(default_factory=list)
    _sessions: set[int | None] = field(default_factory=set)

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start Python with these arguments; output and errors are one text."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE} | options
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=EXAMPLE,
            env=self.environment | {_MARK: self._mark},
            stderr=subprocess.STDOUT,
            text=True,
            # Never the session of the tests: all that is in this one may be killed.
            start_new_session=True,
            **options,
        )
        self._started.append(process)
        return process

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run Python to its end, without a terminal: exit code and all it said."""
        process = self.start(*arguments)
        text, _ = process.communicate(timeout=DEMO_LIMIT)
        return process.returncode, text

    def ask(self, script: str) -> Any:
        """Run a script of this folder inside the site and give what it prints last, as JSON."""
        code, text = self.run(str(Path(__file__).with_name(script)))
        assert code == 0, text
        return json.loads(text.splitlines()[-1])

    def processes(self) -> list[psutil.Process]:
        """All that still live, children of children included."""
        living = [process for process in psutil.process_iter() if _lives(process)]
        # By session: a process that gave itself a title has overwritten its environment.
        self._sessions.update(_session(process) for process in living if self._is_marked(process))
        self._sessions.discard(None)
        return [process for process in living if _session(process) in self._sessions]

    def close(self) -> None:
        """Ask what was started to stop, as a person would, and end by force what has not."""
        for process in self._started:
            if process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(STOP_LIMIT)
        for left in self.processes():
            left.kill()
        for process in self._started:
            process.communicate()

    def _is_marked(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(_MARK) == self._mark
        except psutil.Error:
            return False


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _session(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid)
    except OSError:
        return None


def _environment(directory: Path) -> dict[str, str]:
    """What a site's processes find in their environment: SQLite and the embedded broker."""
    foreign = ("EXAMPLE_", "TEST_", "DJANGO_", "DEMO_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    # The package that these tests have, installed or not.
    path = [str(EXAMPLE), str(Path(django_q.__file__).parents[1])]
    return inherited | {
        "DJANGO_SETTINGS_MODULE": "website.settings",
        "EXAMPLE_LOGS": str(directory / "logs"),
        "EXAMPLE_DB_NAME": str(directory / "example.sqlite3"),
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONIOENCODING": "utf-8",
    }


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """The site on SQLite and the embedded broker; a test may change its environment."""
    site = Site(_environment(tmp_path))
    yield site
    site.close()


@pytest.fixture(scope="session")
def plain_digest(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the survey must come to: the digest of the same work done without any queue."""
    site = Site(_environment(tmp_path_factory.mktemp("plain")))
    digest: str = site.ask("plain.py")
    return digest
