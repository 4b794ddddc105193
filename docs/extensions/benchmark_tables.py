"""The directives `benchmark-tables`, `benchmark-goals`, `benchmark-pace`: what benchmarks wrote.

The argument of the first is a measure: each file `docs/benchmarks/MEASURE-*.json` becomes a table,
with the picture that `--plots` has drawn for it. The second holds all of them against what we
want to reach, the third tells how fast the machine was. So no figure is ever typed.
"""

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from benchmarks import goals, pace, report
from benchmarks.catalogue import BROKERS

FOLDER = Path(__file__).parents[1] / "benchmarks"


class BenchmarkTables(SphinxDirective):
    """Show every report of one measure."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """A table for each broker; a sentence where nothing has been recorded."""
        measure = self.arguments[0]
        self.env.note_dependency(str(FOLDER))
        shown: list[nodes.Node] = []
        for broker in BROKERS:
            path = FOLDER / f"{measure}-{broker}.json"
            if not path.exists():
                continue
            self.env.note_dependency(str(path))
            made = json.loads(path.read_text("utf-8"))
            shown += [
                nodes.rubric(text=report.title(made)),
                *_picture(path),
                _table(report.table(made), "benchmark"),
                *self._footnote(made),
            ]
        if shown:
            return shown
        return self._parsed(
            f"No figures of this kind are recorded. Where they belong: ``python -m benchmarks"
            f" {measure} --json docs/benchmarks/{measure}-redis.json``."
        )

    def _footnote(self, made: dict[str, Any]) -> list[nodes.Node]:
        # Of Markdown, which has one ` for code.
        text = report.footnote(made).replace("`", "``")
        return self._parsed(f"{text}\n\n{pace.line(made)}")

    def _parsed(self, text: str) -> list[nodes.Node]:
        return self.parse_text_to_nodes(text)


class BenchmarkGoals(SphinxDirective):
    """Say which goals are reached."""

    def run(self) -> list[nodes.Node]:
        """One table."""
        _note_all(self)
        return [_table([goals.HEAD, *(goal.cells() for goal in goals.goals(FOLDER))], "goals")]


class BenchmarkPace(SphinxDirective):
    """Say how fast the machine was while all reports were made."""

    def run(self) -> list[nodes.Node]:
        """One paragraph."""
        made = [json.loads(path.read_text("utf-8")) for path in _note_all(self)]
        return [nodes.paragraph(text=pace.sentence(made))]


def _note_all(directive: SphinxDirective) -> list[Path]:
    """Have the page made anew when a report changes or comes; all reports that there are."""
    paths = sorted(FOLDER.glob("*.json"))
    for path in (FOLDER, *paths):
        directive.env.note_dependency(str(path))
    return paths


def _table(lines: list[list[str]], kind: str) -> nodes.table:
    head, *rest = lines
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=1) for _ in head]
    group += nodes.thead("", _row(head))
    group += nodes.tbody("", *[_row(line) for line in rest])
    return nodes.table("", group, classes=[kind])


def _row(cells: list[str]) -> nodes.row:
    return nodes.row("", *[nodes.entry("", nodes.paragraph(text=cell)) for cell in cells])


def _picture(path: Path) -> list[nodes.Node]:
    picture = path.with_suffix(".svg")
    if not picture.exists():
        return []
    alt = f"{picture.stem.replace('-', ', ')}: the figures of the table as a picture"
    return [nodes.image(uri=f"benchmarks/{picture.name}", alt=alt)]


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of the directives."""
    app.add_directive("benchmark-tables", BenchmarkTables)
    app.add_directive("benchmark-goals", BenchmarkGoals)
    app.add_directive("benchmark-pace", BenchmarkPace)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
