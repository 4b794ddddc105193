"""All scenarios: importing this registers them."""

from tests.faults import (
    afterwards,
    connections,
    flows,
    network,
    packages,
    poison,
    servers,
    sizes,
    stopping,
    timetables,
    workers,
)
from tests.faults.places import stop_servers
from tests.faults.scenario import SCENARIOS, run_scenario

__all__ = [
    "SCENARIOS",
    "afterwards",
    "connections",
    "flows",
    "network",
    "packages",
    "poison",
    "run_scenario",
    "sizes",
    "servers",
    "stop_servers",
    "stopping",
    "timetables",
    "workers",
]
