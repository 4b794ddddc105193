"""The network between all of us and the broker's server: F13."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.faults.arena import Arena
from tests.faults.producer import Producer
from tests.faults.proxy import Proxy
from tests.faults.scenario import NETWORKED, scenario
from tests.site import databases
from tests.waiting import wait_until

#: Seconds that the network is silent, and that each answer is late.
SILENCE, LATENCY = 30.0, 0.2
#: Seconds that a call of a producer may take, silent server or not. The drivers of databases have
#: no limit of their own: there it is the silence itself.
LONGEST_CALL = 15.0
LONGEST_CALL_OF_A_DRIVER = SILENCE + 5


class Network:
    """The proxies before the servers of the broker, one for each: what is done is done to all."""

    def __init__(self, proxies: Sequence[Proxy]) -> None:
        self._proxies = proxies

    def be_late(self, seconds: float) -> None:
        """Let each answer of a server be so late."""
        for proxy in self._proxies:
            proxy.latency = seconds

    def reset(self) -> None:
        """Cut all connections."""
        for proxy in self._proxies:
            proxy.reset()

    def be_silent(self, seconds: float) -> None:
        """Lose everything for so long; what is connected then is cut at the end."""
        for proxy in self._proxies:
            proxy.fall_silent()
        time.sleep(seconds)  # the fault: it lasts so long
        for proxy in self._proxies:
            proxy.speak()


@contextlib.contextmanager
def diverted(arena: Arena) -> Iterator[tuple[Network, dict[str, Any]]]:
    """Give a network before the broker's servers, and the settings that lead through it.

    What is started meanwhile with these settings uses it; this process does not.
    """
    with contextlib.ExitStack() as stack:
        servers = [server.port for server in arena.servers]
        proxies = [stack.enter_context(Proxy(port)) for port in servers]
        ports = {port: proxy.port for port, proxy in zip(servers, proxies, strict=True)}
        names = map(databases.variable, databases.ALIASES)
        before = {name: os.environ[name] for name in names if name in os.environ}
        stack.callback(os.environ.update, before)
        for name, port in before.items():
            os.environ[name] = str(ports.get(int(port), port))
        yield Network(proxies), _led(arena.settings, ports)


def _led(value: Any, ports: dict[int, int]) -> Any:
    """Give settings in which each of these ports is another one."""
    if isinstance(value, dict):
        return {key: _led(each, ports) for key, each in value.items()}
    if isinstance(value, list):
        return [_led(each, ports) for each in value]
    if isinstance(value, str):
        for port, other in ports.items():
            value = value.replace(f"127.0.0.1:{port}", f"127.0.0.1:{other}")
        return value
    return ports.get(value, value) if type(value) is int else value


@scenario("F13", NETWORKED)
def the_network_is_slow_cut_and_silent(arena: Arena) -> None:
    """Network through a proxy: 200 ms of latency, resets, half-open for 30 s."""
    with diverted(arena) as (network, led):
        arena.cluster(**led)
        with Producer(arena, 0.05, **led) as producer:
            _drain(arena, "late", lambda: _be_late(arena, network))
            _drain(arena, "resets", lambda: _reset(arena, network))
            _drain(arena, "silence", lambda: network.be_silent(SILENCE))
            producer.stop()
            wait_until(lambda: not producer.missing(), 60, what="all that was accepted")
        arena.wait_done()

    is_driver = "orm" in arena.settings
    limit = LONGEST_CALL_OF_A_DRIVER if is_driver else LONGEST_CALL
    arena.findings.at_most("longest call", producer.longest(), limit, " s")
    arena.findings.exactly("lost of producer", len(producer.missing()), 0)
    arena.findings.at_least("accepted", len(producer.accepted()), 1)
    # A lease or acknowledgement whose answer was cut off may be done again.
    arena.count(dup=8 * arena.times(10))


def _drain(arena: Arena, name: str, disturb: Callable[[], None]) -> None:
    """Drain a part of the tasks, disturbed while they run, and see that work goes on."""
    arena.send(arena.tasks // 3)
    disturb()
    began = time.monotonic()
    ended = len(arena.trace.ended())
    arena.send(1)
    wait_until(lambda: len(arena.trace.ended()) > ended, 60, what=f"work after {name}")
    arena.findings.at_most(f"works after {name}", time.monotonic() - began, 15.0, " s")


def _be_late(arena: Arena, network: Network) -> None:
    network.be_late(LATENCY)
    arena.wait_progress(0.9)
    network.be_late(0.0)


def _reset(arena: Arena, network: Network) -> None:
    for _ in range(arena.times(50)):
        time.sleep(arena.random.uniform(0.1, 0.5))  # the fault: a cut at any moment
        network.reset()
