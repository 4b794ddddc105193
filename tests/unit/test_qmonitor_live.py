"""The full screens of `qmonitor` and `qmemory` in a terminal of their own."""

import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest

from tests.unit.heartbeats import start_cluster

ROOT = Path(__file__).parents[2]
#: Makes the terminal in the first argument the one of this process, then runs the command.
_SIT_DOWN = """
import os, sys
terminal = os.open(sys.argv[1], os.O_RDWR)
for number in range(3):
    os.dup2(terminal, number)
os.execv(sys.executable, [sys.executable, "-m", "django", *sys.argv[2:]])
"""


@pytest.fixture
def person(database: str, q_cluster: Any) -> Iterator[Any]:
    """A person at a terminal of 80 columns who starts a command."""
    q_cluster(orm=database)
    main, other = pty.openpty()
    ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    before = termios.tcgetattr(main)
    started: list[subprocess.Popen[bytes]] = []

    def start(command: str) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.site.settings",
            "PYTHONPATH": str(ROOT),
            "TERM": "xterm-256color",
        }
        words = [sys.executable, "-c", _SIT_DOWN, os.ttyname(other), command]
        process = subprocess.Popen(words, env=environment, start_new_session=True)
        started.append(process)
        return process

    def read_until(text: bytes, limit: float = 20.0) -> bytes:
        seen, end = b"", time.monotonic() + limit
        while text not in seen and time.monotonic() < end:
            if select.select([main], [], [], 0.1)[0]:
                news = os.read(main, 65536)
                seen += news
                # Blessed asks where the cursor is, and waits for long where nobody answers.
                os.write(main, b"\x1b[1;1R" * news.count(b"\x1b[6n"))
        assert text in seen, seen[-2000:]
        return seen

    yield start, read_until, main, lambda: termios.tcgetattr(main) == before
    for process in started:
        process.kill()
        process.wait()
    os.close(main)
    os.close(other)


@pytest.mark.parametrize("command", ["qmonitor", "qmemory"])
@pytest.mark.parametrize("end", [b"q", b"\x03"], ids=["q", "ctrl-c"])
def test_a_live_screen_ends_by_a_key_and_leaves_the_terminal_as_it_was(
    person: Any, command: str, end: bytes
) -> None:
    start, read_until, main, is_as_before = person
    start_cluster()

    process = start(command)
    read_until(b"q Quit")
    os.write(main, end)

    assert process.wait(20) == 0
    assert is_as_before()
    read_until(b"\x1b[?1049l")  # back from the full screen
