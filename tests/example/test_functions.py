"""The example's plain functions: what a file holds, the ranking, the terminal, the settings."""

import io
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from demonstration.children import free_port
from demonstration.terminal import Terminal
from survey import tasks
from survey.progress import Progress
from survey.report import Row, report
from survey.tasks import library_files
from website.databases import database_from

SOURCE = '''
"""A module."""
import os.path, sys  # two modules
from collections import abc
from . import near


def short(): ...


async def long():
    import sys
    return os
'''


def _analyse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: bytes) -> dict[str, Any]:
    (tmp_path / "some.py").write_bytes(source)
    monkeypatch.setattr(tasks, "LIBRARY", tmp_path)
    return tasks.analyse("some.py")


def _file(path: str, **values: Any) -> dict[str, Any]:
    plain = {"lines": 1, "tokens": 1, "functions": 0, "longest": None, "imports": [], "error": None}
    return {"path": path} | plain | values


def test_a_file_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = _analyse(tmp_path, monkeypatch, SOURCE.encode())

    assert found["path"] == "some.py"
    assert found["functions"] == 2
    assert found["longest"] == {"name": "long", "line": 11, "lines": 3}
    assert found["imports"] == ["collections", "os", "sys"]
    assert found["lines"] == len(SOURCE.splitlines())
    assert found["error"] is None


def test_comments_and_layout_are_no_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = _analyse(tmp_path, monkeypatch, b"# nothing\n\nif a:\n    b = 1  # one\n")

    assert found["tokens"] == len(["if", "a", ":", "b", "=", "1"])


@pytest.mark.parametrize(
    "source",
    [b"print 'old'\n", b"a = '\xff'\n", b"# coding: nowhere\n", b"a\0b\n", b"(" * 1000, b"def"],
    ids=["python 2", "undecodable", "unknown coding", "null byte", "nested", "torn"],
)
def test_a_file_that_cannot_be_parsed_is_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: bytes
) -> None:
    found = _analyse(tmp_path, monkeypatch, source)

    assert re.match(r"\w+: .", found["error"])
    assert str(tmp_path) not in found["error"]
    assert (found["tokens"], found["functions"], found["imports"]) == (0, 0, [])


def test_the_library_is_surveyed_without_what_was_installed_into_it() -> None:
    files = library_files()

    assert {"ast.py", "json/decoder.py"} <= set(files)
    assert not [path for path in files if "site-packages" in path or "dist-packages" in path]
    assert files == sorted(set(files))


def test_the_report_ranks_and_sums() -> None:
    longest = {"name": "walk", "line": 7, "lines": 90}
    found = report(
        [
            _file("b.py", tokens=5, imports=["os", "sys"]),
            _file("a/c.py", tokens=10, longest=longest, functions=2, imports=["sys"]),
            _file("z.py", tokens=0, error="SyntaxError: no"),
        ]
    )

    assert (found.files, found.tokens, found.functions, found.lines) == (3, 15, 2, 3)
    assert found.most_tokens[:2] == [Row("c.py", "a/", 10, 1.0), Row("b.py", "./", 5, 0.5)]
    assert found.longest_functions == [Row("walk", "a/c.py:7", 90, 1.0)]
    assert [row.name for row in found.most_imported] == ["sys", "os"]
    assert [file["path"] for file in found.unparsable] == ["z.py"]


def test_the_digest_does_not_depend_on_the_order() -> None:
    files = [_file("a.py"), _file("b.py", tokens=3)]

    assert report(files).digest == report(reversed(files)).digest
    assert report(files).digest != report(files[:1]).digest


def test_nothing_in_a_pipe_is_wider_than_a_terminal() -> None:
    name, path = "a_name_that_is_much_too_long" * 4, "deep/" * 30 + "some.py"
    longest = {"name": name, "line": 1, "lines": 1_000_000}
    stream = io.StringIO()
    terminal = Terminal(stream)

    for ended in range(0, 100_001, 777):
        terminal.progress(Progress(100_000, ended, 2, 1234.5))
    terminal.report(report([_file(path, tokens=9_999_999, longest=longest, imports=[name])]))
    terminal.failures([{"name": "Fails", "error": "some words " * 30}])

    text = stream.getvalue()
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "\x1b" not in text
    assert "\r" not in text
    assert text.count("tasks") == 10


def test_a_stream_that_knows_only_ascii_gets_ascii() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")

    Terminal(stream).report(report([_file("größe.py", tokens=3)]))

    stream.seek(0)
    assert "###" in stream.read()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, {"ENGINE": "django.db.backends.sqlite3", "NAME": "folder/db.sqlite3"}),
        (
            {"EXAMPLE_DB_ENGINE": "postgresql", "EXAMPLE_DB_PORT": "5433"},
            {"ENGINE": "django.db.backends.postgresql", "NAME": "example", "PORT": "5433"},
        ),
    ],
    ids=["unset", "postgresql"],
)
def test_the_environment_chooses_the_database(
    environment: dict[str, str], expected: dict[str, str]
) -> None:
    entry = database_from(environment, Path("folder"))

    assert expected.items() <= entry.items()


def test_a_port_that_is_taken_is_not_chosen() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = listener.getsockname()[1]

        assert free_port(taken) != taken
