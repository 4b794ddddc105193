"""A fresh Django project, made as the quickstart says."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import django_q

_SETTINGS = """
INSTALLED_APPS += ["django_q"]
Q_CLUSTER = {"orm": "default", "workers": 2}
"""

_TASKS = """
def multiply(first, second):
    return first * second


def fail():
    raise ValueError("on purpose")
"""

Manage = Callable[..., str]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a project with one module of tasks, its database migrated."""
    folder = tmp_path_factory.mktemp("project")
    _run(folder, "-m", "django", "startproject", "shop", ".")
    with open(folder / "shop" / "settings.py", "a", encoding="utf-8") as settings:
        settings.write(_SETTINGS)
    (folder / "shop" / "tasks.py").write_text(_TASKS)
    _run(folder, "manage.py", "migrate")
    return folder


@pytest.fixture
def manage(project: Path) -> Manage:
    """Function that runs `manage.py` in the project and gives what it printed.

    Each warning of Python is an error there.
    """
    return lambda *arguments: _run(project, "-W", "error", "manage.py", *arguments)


def _run(folder: Path, *arguments: str) -> str:
    environment = {
        name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ
    }
    if "SMOKE_EXPECTS" not in os.environ:  # the checkout is tried, not an installed wheel
        environment["PYTHONPATH"] = str(Path(django_q.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, (
        f"{arguments} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    )
    return done.stdout + done.stderr
