"""The pages of the documentation as the tests see them: blocks of code, examples, commands."""

import doctest
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
#: Every page that is written by hand.
PAGES = sorted(
    [*(ROOT / "docs").rglob("*.rst"), *ROOT.glob("*.md"), ROOT / "example" / "README.md"]
)

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_DIRECTIVE = re.compile(r"^( *)\.\. code-block:: (\w+)\n\n((?:\1 +.*\n|\s*\n)+)", re.MULTILINE)
_FILE = re.compile(r"# (shop/\w+\.py)\n")


class Block(NamedTuple):
    """A block of code on a page."""

    page: Path
    language: str
    code: str

    @property
    def file(self) -> str | None:
        """The file that the block says it is, in its first line."""
        named = _FILE.match(self.code)
        return named and named[1]

    def __str__(self) -> str:
        return f"{name(self.page)}: {self.code[:200]}"


def name(page: Path) -> str:
    """The page as a person calls it."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """The code blocks of a page, in order."""
    text = page.read_text("utf-8")
    if page.suffix == ".md":
        found = [(language, code) for language, code in _FENCE.findall(text)]
    else:
        found = [(language, code) for _, language, code in _DIRECTIVE.findall(text)]
    return [
        Block(page, language, textwrap.dedent(code).rstrip() + "\n") for language, code in found
    ]


def files(page: Path) -> dict[str, str]:
    """The files that a page's blocks make: path -> text, several blocks behind each other."""
    made: dict[str, str] = {}
    for block in blocks(page):
        if block.language == "python" and block.file:
            made[block.file] = made.get(block.file, "") + block.code + "\n\n"
    return made


def session(page: Path) -> doctest.DocTest:
    """The `>>>` examples of a page."""
    return doctest.DocTestParser().get_doctest(page.read_text("utf-8"), {}, name(page), None, 0)


def commands(page: Path, program: str) -> Iterator[list[str]]:
    """The words that follow `program` wherever the page has it as code."""
    text = page.read_text("utf-8")
    spans = re.findall(r"`+([^`]+?)`+", text)
    lines = re.findall(r"^ {4,}(.+)$", text, re.MULTILINE)
    fenced = [line for block in blocks(page) for line in block.code.splitlines()]
    for span in [*spans, *lines, *fenced]:
        for found in re.finditer(rf"(?:^|\s|/){re.escape(program)} ([^#&|;()]+)", span):
            yield found[1].split()


def write_modules(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the page's package `shop`, and let it be found."""
    modules = files(page)
    if page.name == "custom.rst":
        modules["shop/spool.py"] = (page.parent / "spool.py").read_text("utf-8")
    for path, text in modules.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    for module in [module for module in sys.modules if module.partition(".")[0] == "shop"]:
        monkeypatch.delitem(sys.modules, module)
