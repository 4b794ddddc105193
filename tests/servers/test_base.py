"""The local servers: started on ports that are free; killed and frozen as a whole."""

import socket
import subprocess
from collections.abc import Iterator

import psutil
import pytest

from tests.servers import Server, base
from tests.servers.ironmq_process import IronMQ
from tests.waiting import wait_until


class Sleeper(Server):
    """Sleeps; a child of it ends just after somebody looked who is there."""

    name = "sleeper"

    def command(self) -> list[str]:
        return ["/bin/sleep", "60"]

    def answers(self) -> bool:
        return True

    @property
    def url(self) -> str:
        return "none"

    def _family(self) -> list[psutil.Process]:
        with subprocess.Popen(["/bin/sleep", "60"]) as child:
            seen = psutil.Process(child.pid)
            child.kill()
        return [seen, *super()._family()]


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    server = Sleeper().start()
    yield server
    server.stop()


def test_a_server_is_killed_while_a_child_of_it_ends(sleeper: Sleeper) -> None:
    process = psutil.Process(sleeper.pid)

    sleeper.kill()

    assert not process.is_running()


def test_a_server_is_frozen_and_goes_on_while_a_child_of_it_ends(sleeper: Sleeper) -> None:
    process = psutil.Process(sleeper.pid)

    sleeper.pause()
    wait_until(lambda: process.status() == psutil.STATUS_STOPPED, 5, what="a frozen server")

    sleeper.resume()
    wait_until(lambda: process.status() != psutil.STATUS_STOPPED, 5, what="a server that goes on")


def test_a_server_takes_another_port_when_somebody_was_quicker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    free = base.free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))  # and listens to nobody, as a connection to elsewhere
        ports = iter([other.getsockname()[1], free])
        monkeypatch.setattr(base, "free_port", lambda: next(ports))
        server = IronMQ().start()
        try:
            assert (server.port, server.answers()) == (free, True)
        finally:
            server.stop()


def test_a_server_that_finds_no_free_port_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        monkeypatch.setattr(base, "free_port", lambda: other.getsockname()[1])
        with pytest.raises(RuntimeError, match="Address already in use"):
            IronMQ().start()
