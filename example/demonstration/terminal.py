"""What the demo shows in a terminal of 80 columns, or writes into a pipe."""

import os
import shutil
import sys
import textwrap
from dataclasses import dataclass, field
from typing import TextIO

from survey.progress import Progress
from survey.report import Report, Row

#: Nothing is wider than this, however wide the terminal is.
WIDTH = 80

#: Characters of the bar behind a ranking's value.
BAR = 16

#: Characters that a name and its note share: what value and bar leave of the width.
NAMES = WIDTH - BAR - 14

#: Rows of each ranking; the page has more.
ROWS = 5

#: In a pipe there is one line for each so many percent.
STEP = 10

_COLOURS = {"bold": "1", "soft": "2", "good": "32", "bad": "31"}


@dataclass
class Terminal:
    """Writes to ``stream``; colour and a moving bar only where somebody watches."""

    stream: TextIO = field(default_factory=lambda: sys.stdout)
    _said: int = -1

    def __post_init__(self) -> None:
        self.is_live = self.stream.isatty() and os.environ.get("TERM") != "dumb"
        self._full, self._empty = ("█", "░") if self._can("█░…") else ("#", ".")

    def say(self, text: str = "", colour: str = "") -> None:
        """One paragraph."""
        self._write(f"{self._paint(text, colour)}\n")

    def heading(self, text: str) -> None:
        """A title, with room above it."""
        self.say(f"\n{self._paint(text, 'bold')}")

    def progress(self, progress: Progress) -> None:
        """How far the survey is: over the last line in a terminal, now and then in a pipe."""
        percent = 100 * progress.ended // progress.total
        count = f"{progress.ended:,} of {progress.total:,} tasks"
        end = f"{percent:3d} %  {count:>21}  {progress.seconds:5.1f} s"
        if self.is_live:
            columns = min(WIDTH, shutil.get_terminal_size().columns) - 1
            room = max(0, columns - len(end) - 4)
            bar = self._bar(progress.ended / progress.total, room)
            self._write(f"\r\x1b[K  {self._paint(bar, 'good')}  {end}")
        elif percent // STEP > self._said:
            self._said = percent // STEP
            self.say(f"  {end}")

    def end_progress(self) -> None:
        """Leave the line of the bar."""
        if self.is_live:
            self._write("\n")

    def report(self, report: Report) -> None:
        """The tables of the ranking."""
        self.say(
            f"\n{report.files:,} files, {report.lines:,} lines, {report.tokens:,} tokens, "
            f"{report.functions:,} functions."
        )
        self.say(f"{len(report.unparsable)} files cannot be parsed: a result like any other.")
        self._ranking("Most tokens", report.most_tokens)
        self._ranking("Longest functions, in lines", report.longest_functions)
        self._ranking("Most imported modules, by files that import them", report.most_imported)

    def failures(self, failures: list[dict[str, str]]) -> None:
        """The failed tasks, each with its error."""
        self.heading("Failed")
        for failure in failures:
            self.say(f"  {self._paint(failure['name'], 'bad')}")
            self.say(textwrap.fill(failure["error"], WIDTH - 4, **_indented(4)))

    def _ranking(self, title: str, rows: list[Row]) -> None:
        self.heading(title)
        for row in rows[:ROWS]:
            bar = self._bar(row.share, BAR).replace(self._empty, " ")
            name = _fit(row.name, NAMES)
            note = _fit(row.note, NAMES - len(name))
            self.say(
                f"{row.value:9,}  {self._paint(bar, 'good')} {name}  {self._paint(note, 'soft')}"
            )

    def _bar(self, share: float, width: int) -> str:
        filled = round(share * width)
        return self._full * filled + self._empty * (width - filled)

    def _paint(self, text: str, colour: str) -> str:
        if not colour or not self.is_live or os.environ.get("NO_COLOR"):
            return text
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"

    def _can(self, text: str) -> bool:
        try:
            text.encode(self.stream.encoding or "ascii")
        except UnicodeEncodeError:
            return False
        return True

    def _write(self, text: str) -> None:
        encoding = self.stream.encoding or "ascii"
        self.stream.write(text.encode(encoding, "replace").decode(encoding))
        self.stream.flush()


def _indented(by: int) -> dict[str, str]:
    return {"initial_indent": " " * by, "subsequent_indent": " " * by}


def _fit(text: str, width: int) -> str:
    """The text in ``width`` characters; of a long one the end, which tells files apart."""
    return text if len(text) <= width else f"...{text[len(text) - max(0, width - 3) :]}"[:width]
