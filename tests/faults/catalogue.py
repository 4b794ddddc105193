"""All scenarios: importing this registers them."""

from tests.faults import packages, poison, servers, stopping, timetables, workers
from tests.faults.places import stop_servers
from tests.faults.scenario import SCENARIOS, run_scenario

__all__ = [
    "SCENARIOS",
    "packages",
    "poison",
    "run_scenario",
    "servers",
    "stop_servers",
    "stopping",
    "timetables",
    "workers",
]
