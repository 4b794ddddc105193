"""From the results of a survey to its ranking. Pure functions: no database, no clock."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import PurePosixPath
from typing import Any, NamedTuple

#: Rows of each table.
LENGTH = 10


class Row(NamedTuple):
    """One line of a ranking: what, a note, how much, and its ``share`` of the first (0 to 1)."""

    name: str
    note: str
    value: int
    share: float


@dataclass(frozen=True)
class Report:
    """Sums and rankings over all files. ``unparsable`` are the results with an error."""

    files: int
    lines: int
    tokens: int
    functions: int
    most_tokens: list[Row]
    longest_functions: list[Row]
    most_imported: list[Row]
    unparsable: list[dict[str, Any]]
    digest: str


def report(results: Iterable[dict[str, Any]]) -> Report:
    """The report over ``results``, in whatever order they came in."""
    files = sorted(results, key=itemgetter("path"))
    return Report(
        files=len(files),
        lines=_sum(files, "lines"),
        tokens=_sum(files, "tokens"),
        functions=_sum(files, "functions"),
        most_tokens=_ranking(_size(file) for file in files),
        longest_functions=_ranking(_longest(file) for file in files if file["longest"]),
        most_imported=_ranking(_importers(files)),
        unparsable=[file for file in files if file["error"]],
        digest=digest(files),
    )


def digest(files: list[dict[str, Any]]) -> str:
    """A fingerprint of all results: equal for equal results, on whatever broker they were made."""
    text = json.dumps(sorted(files, key=itemgetter("path")), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _sum(files: list[dict[str, Any]], field: str) -> int:
    return sum(file[field] for file in files)


def _size(file: dict[str, Any]) -> tuple[str, str, int]:
    path = PurePosixPath(file["path"])
    return path.name, f"{path.parent}/", file["tokens"]


def _longest(file: dict[str, Any]) -> tuple[str, str, int]:
    function = file["longest"]
    return function["name"], f"{file['path']}:{function['line']}", function["lines"]


def _importers(files: list[dict[str, Any]]) -> Iterator[tuple[str, str, int]]:
    """How many files import each module."""
    counts = Counter(name for file in files for name in file["imports"])
    for name, count in counts.items():
        yield name, f"{count / len(files):.0%} of all files", count


def _ranking(entries: Iterable[tuple[str, str, int]]) -> list[Row]:
    """The largest values first; equal ones by name, so that the order never changes."""
    first = sorted(entries, key=lambda entry: (-entry[2], entry[0], entry[1]))[:LENGTH]
    top = first[0][2] if first else 0
    return [Row(name, note, value, value / (top or 1)) for name, note, value in first]
