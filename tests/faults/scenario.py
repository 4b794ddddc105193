"""The scenarios by their ids, and running one."""

import contextlib
import os
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.faults.arena import Arena
from tests.faults.baseline.system import DjangoQ2
from tests.faults.doings import write_doings
from tests.faults.findings import OTHER, OURS, Findings
from tests.faults.places import PLACES, place
from tests.faults.systems import System

#: Brokers that every scenario is for, unless it says otherwise.
ALL = tuple(name for name in PLACES if "+" not in name)

#: Those that are servers of their own.
NETWORKED = tuple(name for name in ALL if PLACES[name][1])
SYSTEMS: dict[str, type[System]] = {OURS: System, OTHER: DjangoQ2}
#: What the system that we compare with is tried with, and the brokers that it shares with us.
COMPARED = ("F1", "F2", "F8", "F22", "F27")
COMPARED_ON = ("redis", "postgres")


class Scenario(NamedTuple):
    """One fault, what must hold, and on which brokers it makes sense."""

    id: str
    title: str
    brokers: tuple[str, ...]
    run: Callable[[Arena], None]


SCENARIOS: dict[str, Scenario] = {}


def scenario(id: str, brokers: tuple[str, ...] = ALL) -> Callable[..., Callable[[Arena], None]]:
    """Register a function as the scenario `id`; its docstring's first line is the title."""

    def register(run: Callable[[Arena], None]) -> Callable[[Arena], None]:
        title = (run.__doc__ or "").strip().splitlines()[0].rstrip(".")
        SCENARIOS[id] = Scenario(id, title, brokers, run)
        return run

    return register


def run_scenario(id: str, broker: str, seed: int, tasks: int, system: str = OURS) -> Findings:
    """Run one scenario on one broker; what it found. The record of a failing run is kept."""
    chosen, findings, began = SCENARIOS[id], Findings(id, broker, seed, system), time.monotonic()
    with _folder(findings) as folder, place(broker) as (servers, settings):
        arena = Arena(findings, servers, settings, folder, SYSTEMS[system])
        arena.tasks = tasks
        with arena.system.at_work():
            try:
                chosen.run(arena)
            except Exception as error:  # the others are to be run all the same
                (folder / "error.txt").write_text(traceback.format_exc())
                findings.failures.append(f"{type(error).__name__}: {str(error).splitlines()[0]}")
            finally:
                if findings.failures:  # it may stand still: that is only seen while it does
                    write_doings(folder / "doings.txt", arena.clusters)
                arena.close()
        if findings.failures:
            (folder / "clusters.log").write_text(arena.log())
    findings.took, findings.load = round(time.monotonic() - began, 1), round(os.getloadavg()[0], 1)
    return findings


def runs(system: str, ids: Iterable[str], brokers: Iterable[str]) -> list[tuple[str, str]]:
    """Give scenario and broker for all that makes sense of what was asked for."""
    ids = [id for id in ids if system == OURS or id in COMPARED]
    brokers = [broker for broker in brokers if system == OURS or broker in COMPARED_ON]
    return [(id, broker) for broker in brokers for id in ids if broker in SCENARIOS[id].brokers]


@contextlib.contextmanager
def _folder(findings: Findings) -> Iterator[Path]:
    """A directory for the record, which stays if something was not as promised."""
    name = f"faults-{findings.scenario}-{findings.broker}-{findings.seed}-"
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix=name))
        stack.callback(_tidy, folder, findings)
        yield folder


def _tidy(folder: Path, findings: Findings) -> None:
    if findings.failures:
        findings.record = str(folder)
    else:
        shutil.rmtree(folder)
