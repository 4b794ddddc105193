"""All scenarios: importing this registers them."""

from tests.faults import (
    afterwards,
    connections,
    flows,
    full,
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
    "full",
    "network",
    "packages",
    "poison",
    "run_scenario",
    "servers",
    "sizes",
    "stop_servers",
    "stopping",
    "timetables",
    "workers",
]
