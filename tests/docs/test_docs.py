"""What the documentation says is so: examples run, commands and settings exist, links lead on."""

import ast
import dataclasses
import importlib
import re
import tomllib
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pytest
from django.core.management import get_commands, load_command_class
from django.test import override_settings

from django_q.checks import check_settings
from django_q.conf import Settings
from tests.test_architecture import FLOORS

from . import pages

DOCS = pages.ROOT / "docs"
#: Commands of Django itself.
_OTHERS = {"check", "migrate", "runserver", "shell", "COMMAND"}


def _ids(page: Path) -> str:
    return pages.name(page)


every_page = pytest.mark.parametrize("page", pages.PAGES, ids=_ids)


@every_page
def test_python_is_python(page: Path) -> None:
    for block in pages.blocks(page):
        if block.language == "python":
            ast.parse(block.code, str(block))


@every_page
def test_what_is_imported_can_be_imported(page: Path) -> None:
    for block in pages.blocks(page):
        tree = ast.parse(block.code if block.language == "python" else "")
        for node in ast.walk(tree):
            module = getattr(node, "module", None) or ""
            if isinstance(node, ast.ImportFrom) and module.partition(".")[0] == "django_q":
                for alias in node.names:
                    assert hasattr(importlib.import_module(module), alias.name), str(block)


@every_page
def test_settings_in_examples_are_valid(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages.write_modules(page, tmp_path, monkeypatch)
    for block in pages.blocks(page):
        if block.language == "python" and block.file == "shop/settings.py":
            names: dict[str, Any] = {"INSTALLED_APPS": [], "BASE_DIR": Path("/srv/shop")}
            exec(block.code, names)  # noqa: S102 (our own documentation)
            with override_settings(Q_CLUSTER=names.get("Q_CLUSTER", {"orm": "default"})):
                complaints = [found for found in check_settings() if found.id != "django_q.W004"]
            assert not complaints, f"{block}: {complaints}"


# Names.


def _parsers(parser: ArgumentParser) -> list[ArgumentParser]:
    """A command's parser and those of its sub-commands."""
    found = [parser]
    for action in parser._actions:
        for inner in (action.choices or {}).values() if hasattr(action, "add_parser") else ():
            found += _parsers(inner)
    return found


def _options(command: str) -> set[str]:
    parser = load_command_class(get_commands()[command], command).create_parser(
        "manage.py", command
    )
    actions = [action for inner in _parsers(parser) for action in inner._actions]
    return {option for action in actions for option in action.option_strings}


@every_page
def test_commands_and_their_options_exist(page: Path) -> None:
    for command, *words in pages.commands(page, "manage.py"):
        if command in _OTHERS:
            continue
        assert command in get_commands(), f"manage.py {command}"
        options = {word.partition("=")[0].rstrip(",.:") for word in words if word.startswith("-")}
        assert options <= _options(command), f"manage.py {command} {' '.join(words)}"


@every_page
def test_options_in_text_exist(page: Path) -> None:
    for command in (name for name, app in get_commands().items() if app == "django_q"):
        for words in pages.commands(page, command):
            options = {word for word in words if re.fullmatch(r"--?\w[\w-]*", word)}
            assert not options or options <= _options(command), f"{command} {words}"


def test_every_option_of_the_cluster_is_documented() -> None:
    told = set(re.findall(r"--?\w[\w-]*", _directives("cluster.rst", "option")))

    own = load_command_class("django_q", "qcluster")
    parser = ArgumentParser(add_help=False)
    own.add_arguments(parser)  # type: ignore[arg-type]
    assert told == {option for action in parser._actions for option in action.option_strings}


def test_the_options_of_the_benchmark_exist() -> None:
    source = (pages.ROOT / "benchmarks" / "__main__.py").read_text()

    told = re.findall(r"--[a-z][\w-]*", (DOCS / "performance.rst").read_text())
    assert told
    assert all(f'"{option}"' in source for option in told)


@every_page
def test_what_make_is_asked_for_exists(page: Path) -> None:
    makefile = (pages.ROOT / "Makefile").read_text()

    for words in pages.commands(page, "make"):
        target = words[0].strip("'\"`,.")
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"
        for path in re.findall(r"ARGS='?([\w/.]+)", " ".join(words)):
            assert (pages.ROOT / path).exists(), path


@every_page
def test_links_lead_to_files(page: Path) -> None:
    if page.suffix == ".md":
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), target


# Settings.


def _directives(page: str, kind: str) -> str:
    lines = (DOCS / page).read_text().splitlines()
    return "\n".join(line for line in lines if line.startswith(f".. {kind}::"))


def _tables() -> list[str]:
    text = (DOCS / "configure.rst").read_text()
    tables = re.findall(r"\.\. settings-table::\n\n((?:    \w+\n)+)", text)
    return " ".join(tables).split()


def test_every_setting_stands_in_one_table() -> None:
    assert sorted(_tables()) == sorted(field.name for field in dataclasses.fields(Settings))


@every_page
def test_settings_that_are_referred_to_exist(page: Path) -> None:
    known = {field.name for field in dataclasses.fields(Settings)}

    assert set(re.findall(r":setting:`(\w+)`", page.read_text("utf-8"))) <= known


def test_every_setting_is_used() -> None:
    sources = [p for p in (pages.ROOT / "django_q").rglob("*.py") if p.name != "conf.py"]
    code = "\n".join(path.read_text("utf-8") for path in sources)
    other_names = {"name": "PREFIX", "compress": "COMPRESSED", "cluster_name": "CLUSTER_NAME"}

    def is_used(setting: str) -> bool:
        attribute = other_names.get(setting, setting.upper())
        return re.search(rf'\bConf\.{attribute}\b|"{attribute}"', code) is not None

    unused = {field.name for field in dataclasses.fields(Settings) if not is_used(field.name)}
    # Two are accepted for old projects, and their rows in the table say so; the URL is taken apart
    # where the settings are read.
    assert unused <= {"daemonize_workers", "mongo_db", "broker"}


def test_every_check_is_told_and_no_other() -> None:
    told = re.findall(r"\* - ``(django_q\.[EWI]\d+)``", (DOCS / "configure.rst").read_text())
    places = ("checks.py", "framework/door.py")
    source = "".join((pages.ROOT / "django_q" / place).read_text() for place in places)

    assert sorted(told) == sorted(set(re.findall(r'id="(django_q\.\w+)"', source)))


def test_every_extra_is_told_and_no_other() -> None:
    told = re.findall(r"^``(\w+)``  ", (DOCS / "install.rst").read_text(), re.MULTILINE)
    project = tomllib.loads((pages.ROOT / "pyproject.toml").read_text())["project"]

    assert set(told) == set(project["optional-dependencies"]) - {"test", "docs", "dev"}


# The house.


def test_the_floors_are_those_that_are_tested() -> None:
    text = (DOCS / "architecture.rst").read_text().partition("From the roof to the ground")[2]
    block = text.partition("::\n\n")[2].partition("\n\n")[0]

    told = [set(line.strip().split(", ")) for line in block.splitlines()]
    there = [{part for part in floor if _is_there(part)} for floor in reversed(FLOORS)]
    assert told == [parts for parts in there if parts]


def test_the_files_of_the_architecture_exist() -> None:
    there = {path.name for path in (pages.ROOT / "django_q").rglob("*.py")}

    assert set(re.findall(r"(\w+\.py)", (DOCS / "architecture.rst").read_text())) <= there | {
        "test_architecture.py"
    }


def _is_there(part: str) -> bool:
    path = pages.ROOT / "django_q" / part.replace(".", "/")
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()
