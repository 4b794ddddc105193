"""A reader that leaves, as `head` does, ends a command quietly."""

import os
import subprocess
import sys
from typing import Any

import pytest

from tests.processes import ROOT


@pytest.mark.parametrize("command", ["qinfo --config", "qmonitor --json", "qmemory"])
def test_nobody_is_shown_a_traceback_for_a_reader_that_left(
    database: str, q_cluster: Any, command: str
) -> None:
    q_cluster(orm=database)
    reading, writing = os.pipe()
    os.close(reading)
    words = [sys.executable, "-m", "django", *command.split()]

    done = subprocess.run(words, stdout=writing, stderr=subprocess.PIPE, text=True, cwd=ROOT)

    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
