"""The house: floors, circles, sizes, names, and imports that do nothing.

The first three read the source as a tree; nothing of it is imported for them.
"""

import ast
import functools
import graphlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "django_q"

#: From the ground up. A module imports from lower floors only; the parts of one line (packages, or
#: single modules) do not know each other. The scoreboard lies below its
#: package: it is plain memory.
FLOORS = (
    ("signposts",),
    ("exceptions", "signals", "humanhash", "recurrence", "texts", "plain_values", "past_cursors"),
    ("cluster.journal", "cluster.copies", "cluster.shared_memory", "json_format", "disguise"),
    ("broker_url", "masks", "cluster.scoreboard", "soft_limit"),
    ("settings",),
    ("conf",),
    ("functions", "signer"),
    ("policy",),
    ("signing", "checks", "reporters", "limit_options", "order_options", "effect_options"),
    ("options",),
    ("package", "apps", "schedule_arguments", "stored"),
    ("sealed", "elements"),
    ("run",),
    ("current", "retries"),
    ("models", "executor"),
    ("brokers", "results", "migrations", "punctuality", "coroutines"),
    ("iterations", "dispatch", "uniqueness", "followers", "following"),
    ("keeping",),
    ("recorder", "status", "outbox", "states"),
    ("enqueue", "monitor", "cancelling"),
    ("schedule_package", "schedule_rows"),
    ("scheduler", "planning", "composition", "workflows", "deferred", "testing"),
    ("asynchronous", "task_function"),
    ("discovery",),
    ("cluster", "tasks", "framework"),
    ("backport",),
    ("management", "admin", "pytest_plugin", "backend"),
)
#: Modules that only hand names on, for those who know Django Q's paths. They stand on the roof:
#: nobody inside imports them.
SIGNPOSTS: tuple[str, ...] = ("core_signing", "monitor_terminal")

LONGEST_FILE = 300
LONGEST_FUNCTION = 40
NO_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "managers", "misc"}
#: Where the measure of the house holds, beside the package itself.
MEASURED = ("django_q", "tests", "example", "benchmarks", "scripts")


#: Packages of others that read settings (never ours) or the app registry when they are imported.
_ASKS_DJANGO = ("django.contrib.", "picklefield")


# What the source says.


def _name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def _sources() -> dict[str, ast.Module]:
    """Every module of the package, as a tree."""
    paths = sorted(PACKAGE.rglob("*.py"))
    return {_name_of(path): ast.parse(path.read_text("utf-8"), str(path)) for path in paths}


def _is_package(module: str) -> bool:
    return (ROOT / module.replace(".", "/") / "__init__.py").exists()


def _base(module: str, node: ast.ImportFrom) -> str:
    """The absolute name behind `from ... import`."""
    if not node.level:
        return node.module or ""
    parents = module.split(".") if _is_package(module) else module.split(".")[:-1]
    parents = parents[: len(parents) - node.level + 1]
    return ".".join([*parents, *([node.module] if node.module else [])])


def _imports(module: str) -> set[str]:
    """Names of all that the module imports, wherever in it the import stands."""
    found: set[str] = set()
    for node in ast.walk(_sources()[module]):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(module, node)
            names = {f"{base}.{alias.name}" for alias in node.names}
            submodules = names & _sources().keys()
            # `from package import submodule` needs the package too, for its other names.
            found |= submodules | ({base} if names - submodules else set())
    return found


def _own_imports(module: str) -> set[str]:
    """The modules of django_q that are loaded for this one, its own parents left out."""
    found: set[str] = set()
    for name in _imports(module):
        while name.startswith("django_q.") and name not in _sources():
            name = name.rpartition(".")[0]
        # Importing a.b.c runs a.b first.
        while name.startswith("django_q."):
            found.add(name)
            name = name.rpartition(".")[0]
    own = {module[: end or None] for end in _dots(module)}
    return found - own


def _dots(module: str) -> list[int]:
    return [place for place, letter in enumerate(module) if letter == "."] + [0]


@functools.cache
def _graph() -> dict[str, set[str]]:
    return {module: _own_imports(module) for module in _sources()}


def _reached(module: str) -> set[str]:
    """The module and all that is loaded when it is imported, as far as the source tells."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(_graph()[name])
    return found


# Floors.


def _part(module: str) -> str:
    """The part of the house a module belongs to, as in FLOORS."""
    name = module.removeprefix("django_q").removeprefix(".")
    parts = {part for floor in FLOORS for part in floor}
    return name if name in parts else name.partition(".")[0]


def _floor(module: str) -> int:
    part = _part(module)
    if part in ("", *SIGNPOSTS):
        return len(FLOORS)
    for number, parts in enumerate(FLOORS):
        if part in parts:
            return number
    raise AssertionError(f"{module} stands on no floor: give {part!r} its place in FLOORS")


def test_every_module_stands_on_a_floor() -> None:
    for module in _sources():
        _floor(module)


def test_imports_go_down() -> None:
    wrong = []
    for module, imported in _graph().items():
        for target in sorted(imported):
            if _part(target) != _part(module) and _floor(target) >= _floor(module):
                wrong.append(f"{module} (floor {_floor(module)}) -> {target} ({_floor(target)})")

    assert not wrong, "\n".join(wrong)


def test_there_is_no_import_circle() -> None:
    sorter = graphlib.TopologicalSorter(_graph())

    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_imports_stand_at_the_top() -> None:
    wrong = []
    for module, tree in _sources().items():
        wrong += [
            f"{module}:{node.lineno}"
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
            for node in ast.walk(function)
            if isinstance(node, ast.Import | ast.ImportFrom)
        ]

    assert not wrong, "imports inside functions: " + ", ".join(wrong)


# Sizes and names.


def _measured() -> list[Path]:
    return sorted(path for folder in MEASURED for path in (ROOT / folder).rglob("*.py"))


def test_no_file_is_longer_than_a_person_reads() -> None:
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in _measured()}

    long = [f"{path}: {length}" for path, length in lengths.items() if length > LONGEST_FILE]
    assert not long, "\n".join(long)


def test_no_function_is_longer_than_a_screen() -> None:
    long = []
    for path in _measured():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > LONGEST_FUNCTION:
                    long.append(f"{path}:{node.lineno} {node.name}: {length}")

    assert not long, "\n".join(long)


def test_file_names_say_what_is_inside() -> None:
    vague = [
        str(path.relative_to(ROOT)) for path in _measured() if NO_NAMES & {*path.stem.split("_")}
    ]

    assert not vague


# Imports that do nothing.


def _needs_registry(module: str) -> bool:
    """Whether a model or its fields are loaded with it: that needs Django to be set up."""
    pieces = module.split(".")
    # Importing a module runs the packages above it, too.
    above = [".".join(pieces[:length]) for length in range(2, len(pieces))]
    for name in set().union(*(_reached(each) for each in (module, *above))):
        outside = {found for found in _imports(name) if found.startswith(_ASKS_DJANGO)}
        if outside or _part(name) == "models":
            return True
    return False


@pytest.mark.parametrize("mode", ["bare", "registry"])
def test_importing_a_module_does_nothing(mode: str) -> None:
    modules = [name for name in _sources() if _needs_registry(name) == (mode == "registry")]
    script = str(ROOT / "tests" / "silent_imports.py")

    done = subprocess.run(
        [sys.executable, "-W", "error", "-P", script, mode, *modules],
        env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    found = {module: deeds for module, deeds in json.loads(done.stdout).items() if deeds}
    missing = [name for name, deeds in found.items() if deeds[0].startswith("missing client")]
    loud = [f"{name}: {', '.join(deeds)}" for name, deeds in found.items() if name not in missing]
    assert not loud, "\n".join(loud)
    # A broker whose client is not installed here is looked at where it is.
    assert all(name.startswith(("django_q.brokers.", "django_q.monitor")) for name in missing)


@pytest.mark.parametrize(
    "module",
    ["cluster", "cluster.scoreboard", "cluster.supervisor", "brokers.base", "conf", "exceptions"],
)
def test_what_runs_before_django_needs_no_registry(module: str) -> None:
    if f"django_q.{module}" not in _sources():
        pytest.skip("not built yet")

    assert not _needs_registry(f"django_q.{module}")
