"""What was found, as a file: all that the tables of the docs say comes from such files."""

import dataclasses
import datetime
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import django
import psutil

import django_q
from tests.faults.baseline.system import RELEASE
from tests.faults.findings import OTHER, OURS, Findings


def write(path: Path, found: list[Findings], tasks: int) -> None:
    """Write a report; the command is the one that runs."""
    report = {
        "command": _command(sys.argv[1:]),
        "date": datetime.datetime.now().isoformat(" ", "minutes"),
        "machine": _machine(),
        "tasks": tasks,
        "releases": {OURS: django_q.__version__, OTHER: RELEASE.split()[-1]},
        "runs": [_told(each) for each in found],
    }
    path.write_text(json.dumps(report, indent=1, default=str) + "\n")


def read(paths: list[Path]) -> list[dict[str, Any]]:
    """Read reports, the oldest first; each run also knows the number of its tasks."""
    reports: list[dict[str, Any]] = [json.loads(path.read_text()) for path in paths]
    for report in reports:
        for run in report["runs"]:
            run["tasks"] = report["tasks"]
    return sorted(reports, key=lambda report: str(report["date"]))


def _told(found: Findings) -> dict[str, Any]:
    """Give all but where the record is, which is of this machine."""
    fields = dataclasses.asdict(found)
    del fields["record"]
    return fields


def _command(words: list[str]) -> str:
    """Give the command as anybody can type it: where the report is to go is nobody's matter."""
    if "--report" in words:
        place = words.index("--report")
        words = words[:place] + words[place + 2 :]
    return " ".join(["python -m tests.faults", *words])


def _machine() -> str:
    memory = psutil.virtual_memory().total / 2**30
    python = f"Python {platform.python_version()}, Django {django.get_version()}"
    return f"{os.cpu_count()} cores, {memory:.0f} GB, {platform.system()}, {python}"
