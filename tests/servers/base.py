"""What all test servers share: a directory, a port, a process, and how to wait for it.

Used by the session fixtures in `tests/conftest.py` (and by fault tests, which pause, kill and
restart them). Nothing here is shared between sessions: several may run beside each other.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar, Self

import psutil

#: Seconds a server may take until it answers; MariaDB needs 2 to 5 s on a loaded machine.
START_LIMIT = 60.0
#: Seconds between two looks at something that is awaited.
PAUSE = 0.02
#: Ports that a server tries at its first start.
PORTS = 3
#: Seconds a server may take to stop when asked, before it is killed.
STOP_LIMIT = 20.0

_LAUNCH = str(Path(__file__).with_name("launch.py"))


class MissingServer(Exception):
    """The server's programs are not on this machine; the text says how to get them."""


class Server:
    """One server process with a directory of its own, on 127.0.0.1 and a free port.

    Subclasses give `command`, `answers` and `url`, and may override `prepare` (once, before the
    first start) and `ready` (once, after it).
    """

    #: Short name, used for the directory and in messages.
    name: ClassVar[str]
    #: What `stop` sends.
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    #: What the kernel sends when the test process has died without a word.
    orphan_signal: ClassVar[signal.Signals] = signal.SIGKILL
    #: Account to run under; None: the one that runs the tests.
    user: str | None = None

    def __init__(self, *options: str) -> None:
        #: Extra words for the command line, as in `Valkey("--appendfsync", "always")`.
        self.options = options
        self.port = 0
        self.directory = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._paused: list[psutil.Process] = []

    # What a subclass says about its server.

    def command(self) -> list[str]:
        """The command line; its first word is an absolute path."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether the server takes connections now; exceptions mean no."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """Where clients find it."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Make what the server needs in `directory`."""

    def ready(self) -> None:
        """Make what the clients need in the running server."""

    # Life.

    def start(self) -> Self:
        """Start on a free port and wait until it answers."""
        self.directory = Path(tempfile.mkdtemp(prefix=f"django-q-{self.name}-", dir=self._base()))
        try:
            self._give(self.directory)
            self.prepare()
            self._launch_somewhere()
            self.ready()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End the server and remove its directory; harmless when it is already gone."""
        self.resume()
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(self.stop_signal)
            try:
                self._process.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                self.kill()
        self._process = None
        if self.directory != Path():
            shutil.rmtree(self.directory, ignore_errors=True)

    def kill(self) -> None:
        """SIGKILL the server and its children, as a power cut would; the data stays."""
        assert self._process is not None
        _each(self._family(), psutil.Process.kill)
        self._process.wait(STOP_LIMIT)
        self._paused = []

    def restart(self) -> None:
        """Start again on the same port and data, after ending it if it still runs."""
        assert self._process is not None
        if self._process.poll() is None:
            self.resume()
            self._process.send_signal(self.stop_signal)
            self._process.wait(STOP_LIMIT)
        self._launch()

    def pause(self) -> None:
        """Freeze the server and its children: connections stay open, nothing is answered."""
        self._paused = self._family()
        _each(self._paused, psutil.Process.suspend)

    def resume(self) -> None:
        """End a pause; harmless without one."""
        _each(self._paused, psutil.Process.resume)
        self._paused = []

    @property
    def pid(self) -> int:
        """The server's main process."""
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        """What the server has printed so far."""
        path = self.directory / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # Inner parts.

    def run(self, *command: str) -> None:
        """Run a preparing program to its end, as the server's user."""
        line = [*self._launcher(), *command]
        done = subprocess.run(line, capture_output=True, text=True, cwd=self.directory)
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")

    def _launch_somewhere(self) -> None:
        for tries_left in reversed(range(PORTS)):
            self.port = free_port()
            try:
                self._launch()
                return
            except RuntimeError:
                # A connection from here to elsewhere may have taken the port in between.
                if not tries_left or "in use" not in self.log().lower():
                    raise

    def _launch(self) -> None:
        with open(self.directory / "server.log", "ab") as log:
            self._process = subprocess.Popen(
                [*self._launcher(), *self.command(), *self.options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                # Ctrl-C in the terminal is for pytest alone, which then stops the servers.
                start_new_session=True,
            )
        self._wait()

    def _wait(self) -> None:
        assert self._process is not None
        end = time.monotonic() + START_LIMIT
        while time.monotonic() < end:
            if self._process.poll() is not None:
                break
            try:
                if self.answers():
                    return
            except Exception:  # noqa: S110 (every client has errors of its own; all mean "not yet")
                pass
            time.sleep(PAUSE)
        raise RuntimeError(f"{self.name} does not answer on port {self.port}:\n{self.log()}")

    def _launcher(self) -> list[str]:
        words = [str(os.getpid()), str(int(self.orphan_signal)), self.user or "-"]
        return [sys.executable, "-I", "-S", _LAUNCH, *words]

    def _family(self) -> list[psutil.Process]:
        try:
            main = psutil.Process(self.pid)
            return [main, *main.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _base(self) -> str | None:
        # Another account may not reach a private TMPDIR.
        return "/tmp" if self.user else None

    def _give(self, path: Path) -> None:
        if self.user:
            entry = pwd.getpwnam(self.user)
            os.chown(path, entry.pw_uid, entry.pw_gid)


def _each(processes: Iterable[psutil.Process], deed: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):  # a session that ended meanwhile
            deed(process)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody uses at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def find(*patterns: str) -> Path | None:
    """The newest file that matches one of the absolute glob patterns; earlier patterns win."""
    for pattern in patterns:
        found = sorted(Path("/").glob(pattern.lstrip("/")), key=_version)
        if found:
            return found[-1]
    return None


def _version(path: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in path.parts if part.isdigit())
