"""The programs that the demo starts beside itself, and stops again: the cluster and the site."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

#: The folder of the site.
FOLDER = Path(__file__).resolve().parent.parent

#: Where the programs write what they have to say.
LOGS = Path(os.environ.get("EXAMPLE_LOGS", FOLDER / "logs"))

#: Seconds a program may take to stop. A cluster gives running tasks 25 of them.
STOP = 40

#: Lines of its log that are shown when a program ended by itself.
TAIL = 15


class DemoError(Exception):
    """Something that the demo cannot go on after; the message is for the person who looks on."""


class Child:
    """One ``manage.py`` command as a process of its own, writing into a log file."""

    def __init__(self, name: str, *arguments: str) -> None:
        self.name = name
        self.log = LOGS / f"{name}.log"
        LOGS.mkdir(exist_ok=True)
        with self.log.open("wb") as log:
            # A session of its own: Ctrl-C reaches only the demo, which then stops its children in
            # order. Unbuffered: the log is wanted most when the process ends unexpectedly.
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "manage.py", *arguments],
                cwd=FOLDER,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )

    def check(self) -> None:
        """Raise ``DemoError`` if the program has ended by itself."""
        code = self._process.poll()
        if code is not None:
            raise self.trouble(f"{self.name} ended by itself, with exit code {code}")

    def trouble(self, what: str) -> DemoError:
        """The error that says ``what``, with the end of the log."""
        lines = self.log.read_text(errors="replace").splitlines()[-TAIL:]
        return DemoError("\n".join([f"{what}. The end of {self.log}:", "", *lines]))

    def terminate(self) -> None:
        """Ask the program to stop."""
        if self._process.poll() is None:
            self._process.terminate()

    def wait(self) -> None:
        """Wait until it has stopped, and remove by force what has not after ``STOP`` seconds.

        A second Ctrl-C shortens the wait.
        """
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            self._process.wait(STOP)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def stop(children: list[Child]) -> None:
    """Stop all of them, at the same time."""
    for child in children:
        child.terminate()
    for child in children:
        child.wait()


def free_port(wanted: int) -> int:
    """``wanted``, or if something listens there already, another port that is free."""
    for port in (wanted, 0):
        with socket.socket() as listener:
            # As the site's server does it, so that a port it left a moment ago counts as free.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                listener.bind(("127.0.0.1", port))
                return listener.getsockname()[1]
    raise DemoError("There is no free port on 127.0.0.1.")
