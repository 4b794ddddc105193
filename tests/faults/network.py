"""The network between all of us and the broker's server: F13."""

import contextlib
import json
import os
import time
from collections.abc import Iterator
from typing import Any

from tests.faults.arena import Arena
from tests.faults.producer import Producer
from tests.faults.proxy import Proxy
from tests.faults.scenario import scenario
from tests.site import databases
from tests.waiting import wait_until

#: Seconds that the network is silent, and that each answer is late.
SILENCE, LATENCY = 30.0, 0.2
#: Seconds that a call of a producer may take, silent server or not. The drivers of databases have
#: no limit of their own: there it is the silence itself.
LONGEST_CALL = 15.0
LONGEST_CALL_OF_A_DRIVER = SILENCE + 5


@contextlib.contextmanager
def diverted(arena: Arena) -> Iterator[tuple[Proxy, dict[str, Any]]]:
    """Give a proxy before the broker's server, and the settings that lead through it.

    What is started meanwhile with these settings uses it; this process does not.
    """
    port = arena.servers[0].port
    with Proxy(port) as proxy:
        text = json.dumps(arena.settings)
        led = json.loads(text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{proxy.port}"))
        names = map(databases.variable, databases.ALIASES)
        through = [name for name in names if os.environ.get(name) == str(port)]
        os.environ.update(dict.fromkeys(through, str(proxy.port)))
        try:
            yield proxy, led
        finally:
            os.environ.update(dict.fromkeys(through, str(port)))


@scenario("F13", ("redis", "postgres", "mariadb", "sqs"))
def the_network_is_slow_cut_and_silent(arena: Arena) -> None:
    """Network through a proxy: 200 ms of latency, resets, half-open for 30 s."""
    with diverted(arena) as (proxy, led):
        arena.cluster(**led)
        with Producer(arena, 0.05, **led) as producer:
            _drain(arena, "late", lambda: _be_late(arena, proxy))
            _drain(arena, "resets", lambda: _reset(arena, proxy))
            _drain(arena, "silence", lambda: _be_silent(proxy))
            producer.stop()
            wait_until(lambda: not producer.missing(), 60, what="all that was accepted")
        arena.wait_done()

    is_driver = "orm" in arena.settings
    limit = LONGEST_CALL_OF_A_DRIVER if is_driver else LONGEST_CALL
    arena.findings.at_most("longest call", producer.longest(), limit, " s")
    arena.findings.exactly("lost of producer", len(producer.missing()), 0)
    arena.findings.holds(f"{len(producer.accepted())} accepted", bool(producer.accepted()))
    # A lease or acknowledgement whose answer was cut off may be done again.
    arena.count(dup=8 * arena.times(10))


def _drain(arena: Arena, name: str, disturb: Any) -> None:
    """Drain a part of the tasks, disturbed while they run; the rest afterwards."""
    arena.send(arena.tasks // 3)
    disturb()
    began = time.monotonic()
    ended = len(arena.trace.ended())
    arena.send(1)
    wait_until(lambda: len(arena.trace.ended()) > ended, 60, what=f"work after {name}")
    arena.findings.at_most(f"works after {name}", time.monotonic() - began, 15.0, " s")


def _be_late(arena: Arena, proxy: Proxy) -> None:
    proxy.latency = LATENCY
    arena.wait_progress(0.9)
    proxy.latency = 0.0


def _reset(arena: Arena, proxy: Proxy) -> None:
    for _ in range(arena.times(50)):
        time.sleep(arena.random.uniform(0.1, 0.5))  # the fault: a cut at any moment
        proxy.reset()


def _be_silent(proxy: Proxy) -> None:
    proxy.fall_silent()
    time.sleep(SILENCE)  # the fault: it lasts so long
    proxy.speak()
