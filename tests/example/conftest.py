"""The example as processes of its own."""

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

from tests.example import EXAMPLE

#: Seconds the whole demo may take, on a machine that has other things to do as well.
DEMO_LIMIT = 200

#: Stands in the environment of all of a site's processes, so that none can hide.
_MARK = "EXAMPLE_TEST_MARK"


@dataclass
class Site:
    """The example site with a database (and broker) of its own, run as child processes."""

    environment: dict[str, str]
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start Python with these arguments; output and errors are one text."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE} | options
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=EXAMPLE,
            env=self.environment | {_MARK: self.mark},
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )

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
        return [process for process in psutil.process_iter() if self._has(process)]

    def _has(self, process: psutil.Process) -> bool:
        try:
            marked = process.environ().get(_MARK) == self.mark
            return marked and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """The site on SQLite and the embedded broker; a test may change its environment."""
    foreign = ("EXAMPLE_", "TEST_", "DJANGO_", "DEMO_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    path = [str(EXAMPLE), *filter(None, [os.environ.get("PYTHONPATH")])]
    site = Site(
        inherited
        | {
            "DJANGO_SETTINGS_MODULE": "website.settings",
            "EXAMPLE_DB_NAME": str(tmp_path / "example.sqlite3"),
            "PYTHONPATH": os.pathsep.join(path),
            "PYTHONIOENCODING": "utf-8",
        }
    )
    yield site
    for process in site.processes():
        process.kill()
