"""All scenarios: importing this registers them."""

from tests.faults import (
    afterwards,
    backlog,
    connections,
    effects,
    flows,
    full,
    mixed,
    network,
    packages,
    poison,
    servers,
    shortage,
    sizes,
    stopping,
    timetables,
    versions,
    workers,
    writers,
)
from tests.faults.places import stop_servers
from tests.faults.scenario import SCENARIOS, run_scenario

__all__ = [
    "SCENARIOS",
    "afterwards",
    "backlog",
    "connections",
    "effects",
    "flows",
    "full",
    "mixed",
    "network",
    "packages",
    "poison",
    "run_scenario",
    "servers",
    "shortage",
    "sizes",
    "stop_servers",
    "stopping",
    "timetables",
    "versions",
    "workers",
    "writers",
]
