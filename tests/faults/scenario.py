"""The scenarios by their ids, as `../shared`'s table of faults names them, and running one."""

import contextlib
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.faults.arena import Arena, configured
from tests.faults.findings import Findings
from tests.faults.places import PLACES, place

#: Brokers that every scenario is for, unless it says otherwise.
ALL = tuple(name for name in PLACES if "+" not in name)


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


def run_scenario(id: str, broker: str, seed: int, tasks: int) -> Findings:
    """Run one scenario on one broker; what it found. The record of a failing run is kept."""
    chosen, findings = SCENARIOS[id], Findings(id, broker, seed)
    with _folder(findings) as folder, place(broker) as (servers, settings):
        arena = Arena(findings, servers, settings, folder)
        arena.tasks = tasks
        with configured(arena.settings):
            try:
                chosen.run(arena)
            except Exception as error:  # the others are to be run all the same
                (folder / "error.txt").write_text(traceback.format_exc())
                findings.failures.append(f"{type(error).__name__}: {str(error).splitlines()[0]}")
            finally:
                arena.close()
        if findings.failures:
            (folder / "clusters.log").write_text(arena.log())
    return findings


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
        findings.facts["record"] = str(folder)
        return
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()
