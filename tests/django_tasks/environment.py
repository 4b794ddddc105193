"""Environments with a Django that has `django.tasks`, and the tests of its source distribution.

Made when a test asks for one, by pip from the usual index, with a Python that is new enough; kept
in `build/environments` until its requirements change.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.compat.environments import FOLDER, MissingEnvironment, locked

#: What Django 6 needs.
_OLDEST = (3, 12)
#: The releases whose tests are run.
VERSIONS = ("6.0.10", "6.1.3")
#: What our package and these tests need beside Django. setuptools: to look into a distribution.
_REQUIREMENTS = (
    *("asgiref", "sqlparse", "django-picklefield>=3.1", "cronsim>=2.5", "redis>=5"),
    *("psycopg[binary]>=3.1.8", "setuptools>=77"),
)


class DjangoEnvironment(NamedTuple):
    """Where such a Django is."""

    python: Path
    #: The folder `tests` of its source.
    tests: Path


def environment_of(version: str) -> DjangoEnvironment:
    """Give the environment of a Django, which is made if it is not there.

    Raises MissingEnvironment.
    """
    python = newer_python()
    if python is None:
        raise MissingEnvironment(
            f"Django {version} needs Python 3.12 or newer: there is none here."
        )
    content = repr((version, _REQUIREMENTS, python)).encode()
    folder = FOLDER / f"django-{version}-{hashlib.sha256(content).hexdigest()[:10]}"
    made = DjangoEnvironment(folder / "bin" / "python", folder / "source" / "tests")
    with locked(folder):
        if not (folder / "complete").exists():
            _make(made, python, version)
            (folder / "complete").touch()
    return made


def _make(made: DjangoEnvironment, python: Path, version: str) -> None:
    folder = made.python.parents[1]
    shutil.rmtree(folder, ignore_errors=True)
    _run(python, "-m", "venv", str(folder))
    pip = ("-m", "pip", "--quiet", "--disable-pip-version-check")
    _run(made.python, *pip, "install", f"django=={version}", *_REQUIREMENTS)
    _fetch_tests(made.python, version, folder / "source")


def newer_python() -> Path | None:
    """Find a Python that is new enough: this one, one of the PATH, or one of pyenv."""
    if sys.version_info >= _OLDEST:
        return Path(sys.executable)
    for minor in range(_OLDEST[1], 20):
        found = shutil.which(f"python3.{minor}")
        if found and _works(found):
            return Path(found)
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found_there = {
        tuple(map(int, re.findall(r"\d+", path.name))): path / "bin" / "python"
        for path in root.glob("3.*")
        if re.fullmatch(r"[\d.]+", path.name)
    }
    new = [version for version in sorted(found_there) if version[:2] >= _OLDEST]
    return found_there[new[0]] if new else None


def _works(python: str) -> bool:
    """Tell whether a Python starts and can make environments: a shim of pyenv may not."""
    done = subprocess.run([python, "-c", "import ensurepip, venv"], capture_output=True)
    return done.returncode == 0


def _fetch_tests(python: Path, version: str, folder: Path) -> None:
    """Unpack the tests of the framework out of Django's source distribution."""
    with tempfile.TemporaryDirectory() as place:
        words = ("--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--dest", place)
        _run(python, "-m", "pip", "--quiet", "download", *words, f"django=={version}")
        (archive,) = Path(place).glob("*.tar.gz")
        with tarfile.open(archive) as source:
            for member in source.getmembers():
                _, _, path = member.name.partition("/")
                if path.startswith("tests/tasks/") and member.isfile():
                    member.name = path
                    source.extract(member, folder, filter="data")


def _run(*words: str | Path) -> None:
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        command = " ".join(map(str, words))
        raise MissingEnvironment(f"{command} failed: {done.stderr or done.stdout}")
