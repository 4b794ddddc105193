"""The local servers: killed and frozen as a whole, whatever their children do meanwhile."""

import subprocess
from collections.abc import Iterator

import psutil
import pytest

from tests.servers import Server
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
