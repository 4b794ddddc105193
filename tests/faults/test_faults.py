"""The short form of the faults, in every run; `python -m tests.faults` is the long one."""

from collections.abc import Iterator

import pytest

from tests.faults.catalogue import SCENARIOS, run_scenario, stop_servers

#: Tasks of a short drain; SQLite has one writer at a time.
TASKS = 500
FEWER = {"sqlite": 200}
#: What is run each time; the rest is for a night.
SHORT = ("F1", "F2", "F3", "F7", "F8", "F9", "F12", "F15", "F21", "F22", "F24", "F27", "F29")
#: As on SQLite: schedules are in the database wherever packages are.
SAME = {("F24", "redis")}
RUNS = [
    (id, broker)
    for id in SHORT
    for broker in ("redis", "postgres", "redis+postgres")
    if broker in SCENARIOS[id].brokers and (id, broker) not in SAME
] + [("F1", "sqlite"), ("F24", "sqlite")]


@pytest.fixture(scope="module", autouse=True)
def _servers() -> Iterator[None]:
    yield
    stop_servers()


@pytest.mark.parametrize(("id", "broker"), RUNS)
def test_a_fault_is_survived(id: str, broker: str) -> None:
    findings = run_scenario(id, broker, seed=1, tasks=FEWER.get(broker, TASKS))

    assert not findings.failures, findings.line
