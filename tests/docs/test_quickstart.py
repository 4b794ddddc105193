"""The README's quickstart, done word for word by a newcomer: its blocks become files and input."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import pages

README = pages.ROOT / "README.md"
_SHELL = "# python manage.py shell\n"


def _settings() -> list[str]:
    """The blocks for the settings: first the embedded default, then Redis."""
    blocks = [block for block in pages.blocks(README) if block.file == "shop/settings.py"]
    return [block.code for block in blocks if "Q_CLUSTER" in block.code]


def _input() -> str:
    (code,) = [block.code for block in pages.blocks(README) if block.code.startswith(_SHELL)]
    return code.removeprefix(_SHELL)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project as `django-admin startproject` makes it, with the README's module of tasks."""
    _run(tmp_path, "-m", "django", "startproject", "shop", ".")
    files = pages.files(README)
    (tmp_path / "shop" / "tasks.py").write_text(files["shop/tasks.py"])
    return tmp_path


@pytest.fixture
def cluster(project: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Clusters that a test starts, which end with it."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


@pytest.mark.parametrize("broker", ["orm", "redis"])
def test_the_quickstart_works_as_it_is_told(
    broker: str,
    project: Path,
    cluster: list[subprocess.Popen[bytes]],
    request: pytest.FixtureRequest,
) -> None:
    default, redis = _settings()
    chosen = default
    if broker == "redis":
        url = request.getfixturevalue("redis_url")
        chosen += re.sub(r"redis://[^\"]+", url, redis)
    with open(project / "shop" / "settings.py", "a", encoding="utf-8") as settings:
        settings.write(chosen)

    _run(project, "manage.py", "migrate")
    command = [sys.executable, "manage.py", "qcluster"]
    cluster.append(subprocess.Popen(command, cwd=project, env=_environment()))

    assert _run(project, "manage.py", "shell", "-c", _input()).splitlines()[-1] == "42"
    assert "No cluster is running" not in _run(project, "manage.py", "qinfo")


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {"PYTHONPATH": str(pages.ROOT)}


def _run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout
