"""Reports as the tables of `docs/reliability.rst`, so that no figure is written by hand."""

import re
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.faults.catalogue import SCENARIOS
from tests.faults.findings import OTHER, OURS
from tests.faults.places import PLACES
from tests.faults.reasons import REASONS
from tests.faults.reports import read

Run = dict[str, Any]
#: System, scenario, broker, number of tasks -> its runs, one for each seed.
Runs = dict[tuple[str, str, str, int], list[Run]]


def render(paths: list[Path]) -> str:
    """Give reStructuredText; of two reports about the same the later one counts."""
    reports = read(paths)
    runs = _grouped([run for report in reports for run in report["runs"]])
    blocks = [
        [".. Made by: python -m tests.faults --tables"],
        ["How many of the runs held, with one seed or one number of tasks each:"],
        _matrix(runs),
        ["Beside django-q2:"],
        _compared(runs, reports),
        ["What was counted, the worst of all seeds:"],
        _figures(runs),
        ["Where and how it was measured:"],
        _sources(reports),
    ]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _grouped(runs: list[Run]) -> Runs:
    latest: dict[tuple[tuple[str, str, str, int], int], Run] = {}
    for run in runs:
        key = run["system"], run["scenario"], run["broker"], run["tasks"]
        latest[key, run["seed"]] = run
    grouped: Runs = {}
    for (key, _), run in latest.items():
        grouped.setdefault(key, []).append(run)
    return grouped


def _ours(runs: Runs, id: str, broker: str) -> list[list[Run]]:
    """Give our runs of a scenario on a broker, by their number of tasks."""
    return [runs[key] for key in sorted(runs) if key[:3] == (OURS, id, broker)]


# -- where the figures are from --------------------------------------------------------------


def _sources(reports: list[Run]) -> list[str]:
    lines = [".. code-block:: console", ""]
    for report in reports:
        loads = [run["load"] for run in report["runs"]]
        load = f"load {min(loads):g} to {max(loads):g}" if loads else "no run"
        lines += [f"    # {report['date'][:10]}, {report['machine']}, {load}"]
        lines += [f"    $ {report['command']}"]
    return lines


# -- which hold ------------------------------------------------------------------------------


def _matrix(runs: Runs) -> list[str]:
    """One row a scenario, one column a broker: how many of the runs held."""
    brokers = [name for name in PLACES if any(key[2] == name for key in runs)]
    rows = [["", "Fault", *brokers]]
    for id in _ids(runs):
        cells = [_held(runs, id, broker) for broker in brokers]
        rows.append([f"**{id}**", SCENARIOS[id].title, *cells])
    return _table(rows, [6, 34, *[10] * len(brokers)])


def _held(runs: Runs, id: str, broker: str) -> str:
    found = [run for group in _ours(runs, id, broker) for run in group]
    if found:
        return f"{sum(not run['failures'] for run in found)} of {len(found)}"
    return "not run" if broker in SCENARIOS[id].brokers else "\N{EN DASH}"


# -- what was counted ------------------------------------------------------------------------


def _compared(runs: Runs, reports: list[Run]) -> list[str]:
    """One row for each scenario and broker that the other system was tried with."""
    release = next((report["releases"]["django-q2"] for report in reports[::-1]), "")
    rows = [["", "Broker, tasks", "Counted here", f"Counted with django-q2 {release}"]]
    for id in _ids(runs):
        pairs = [(key, (OURS, *key[1:])) for key in runs if key[:2] == (OTHER, id)]
        for theirs, ours in pairs:
            what = f"{theirs[2]}, {theirs[3]}"
            counted = _worst(runs[ours]) if ours in runs else "not run with so many tasks"
            rows.append([f"**{id}**", what, counted, _worst(runs[theirs])])
    return _table(rows, [6, 16, 39, 39])


def _figures(runs: Runs) -> list[str]:
    """One row for each scenario, broker, and number of tasks."""
    rows = [["", "Broker, tasks, seeds", "Counted"]]
    for id in _ids(runs):
        for broker in PLACES:
            for found in _ours(runs, id, broker):
                what = f"{broker}, {found[0]['tasks']}, {len(found)}"
                reason = REASONS.get((id, broker), "") if _failed(found) else ""
                rows.append([f"**{id}**", what, f"{_worst(found)} {reason}".strip()])
    return _table(rows, [6, 22, 72])


def _failed(runs: list[Run]) -> list[str]:
    return list(dict.fromkeys(text for run in runs for text in run["failures"]))


def _worst(runs: list[Run]) -> str:
    """Give each figure from the seed where it is worst, and what did not hold."""
    texts: dict[str, str] = {}
    for name in dict.fromkeys(name for run in runs for name in run["texts"]):
        having = [run for run in runs if name in run["texts"]]
        texts[name] = max(having, key=lambda run, name=name: _rank(run, name))["texts"][name]
    counted = _plain(", ".join(texts.values()))
    if not _failed(runs):
        return counted
    return f"{counted}. **Does not hold:** {_plain('; '.join(_failed(runs)))}.".removeprefix(". ")


def _plain(text: str) -> str:
    """Escape what reStructuredText would take for its own."""
    return re.sub(r"([\\*_`|])", r"\\\1", text)


def _rank(run: Run, name: str) -> tuple[bool, float]:
    value = run["facts"].get(name)
    fails = any(text.startswith((f"{name} ", f"not {name}")) for text in run["failures"])
    worst = max(value) if isinstance(value, list) and value else value
    return fails, worst if isinstance(worst, int | float) else 0.0


def _ids(runs: Runs) -> list[str]:
    found = {key[1] for key in runs}
    return sorted(found & set(SCENARIOS), key=_place)


def _place(id: str) -> tuple[int, str]:
    """Order F2 before F12, and F22b behind F22."""
    digits = re.sub(r"\D", "", id)
    return int(digits), id


def _table(rows: list[list[str]], widths: Iterable[int]) -> list[str]:
    if len(rows) == 1:
        return ["(nothing yet)"]
    lines = [".. list-table::", "    :header-rows: 1", f"    :widths: {' '.join(map(str, widths))}"]
    for row in rows:
        for number, cell in enumerate(row):
            first, more = ("* - " if number == 0 else "  - "), "    "
            lines += textwrap.indent(f"{first}{cell}".rstrip(), more).splitlines()
    return [*lines[:3], "", *lines[3:]]
