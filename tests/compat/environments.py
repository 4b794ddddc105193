"""Python environments with published packages: those that ship a module `django_q`, and add-ons.

Made when a test asks for one, by pip from the usual index, and kept in `build/environments` until
their requirements change.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.processes import ROOT

FOLDER = ROOT / "build" / "environments"


class MissingEnvironment(Exception):
    """The environment cannot be made here; the text says why."""


class Environment(NamedTuple):
    """What is installed, without the dependencies that the packages themselves name."""

    requirements: tuple[str, ...]
    #: It also has what is installed here (Django, Redis' client, ...), behind what is its own.
    has_ours: bool
    #: The newest Python it works with.
    newest: tuple[int, int] = (3, 99)


#: Old ones need an old Django, and that what newer Pythons have thrown out.
_OLD = ("asgiref", "sqlparse", "setuptools<70", "legacy-cgi>=2.6; python_version>='3.13'")
ENVIRONMENTS = {
    "django-q 1.0.2": Environment(
        ("django-q==1.0.2", "django==3.2.25", "django-picklefield==3.0.1", "pytz", *_OLD),
        has_ours=False,
        newest=(3, 13),
    ),
    "django-q 1.3.9": Environment(
        ("django-q==1.3.9", "django==4.2.30", "django-picklefield==3.1", *_OLD),
        has_ours=False,
        newest=(3, 13),
    ),
    "django-q2 1.11.0": Environment(("django-q2==1.11.0",), has_ours=True),
    # For the faults.
    "django-q2 1.11.1": Environment(("django-q2==1.11.1",), has_ours=True),
    "add-ons": Environment(
        (
            "django-q-registry==0.5.0",
            "django-q2-email-backend==3.0.0",
            "django-q-email==5.0.1",
            "django-q-signals==0.3.0",
            "django-q-singleton==0.0.1",
            "django-q-watchdog==0.1.1",
            "django-q-sentry==0.1.6",
            "django-q-rollbar==0.1.3",
            *("sentry-sdk>=2.20,<3", "rollbar>=1.2,<2", "requests>=2.31", "urllib3>=2"),
            *("certifi", "idna", "charset-normalizer", "six", "typing-extensions"),
            # For its entry points. Editable, so that it is the code that is tested.
            f"--editable={ROOT}",
        ),
        has_ours=True,
    ),
}


def python_of(name: str) -> Path:
    """Give the Python of an environment, which is made if it is not there.

    Raises MissingEnvironment.
    """
    environment = ENVIRONMENTS[name]
    if sys.version_info[:2] > environment.newest:
        newest = ".".join(map(str, environment.newest))
        raise MissingEnvironment(f"{name} needs Python {newest} or older.")
    content = repr((environment, sys.version, sys.prefix)).encode()
    digest = hashlib.sha256(content).hexdigest()[:10]
    folder = FOLDER / f"{name.replace(' ', '-')}-{digest}"
    python = folder / "bin" / "python"
    with locked(folder):
        if not (folder / "complete").exists():
            _make(folder, python, environment)
            (folder / "complete").touch()
    return python


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes of the tests from making the same environment."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with open(FOLDER / f"{folder.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(folder: Path, python: Path, environment: Environment) -> None:
    venv.create(folder, clear=True, symlinks=True, with_pip=False)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps"]
    done = subprocess.run(
        [*pip, "--disable-pip-version-check", *environment.requirements],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise MissingEnvironment(f"pip cannot install {environment.requirements}: {done.stderr}")
    if environment.has_ours:
        (packages,) = folder.glob("lib/python3*/site-packages")
        (packages / "ours.pth").write_text(f"{sysconfig.get_path('purelib')}\n")


class Project:
    """A project in one of the environments, at work on given servers.

    `name` is its folder beside this file, with `settings` and `deeds`.
    """

    def __init__(
        self, name: str, python: Path, folder: Path, values: dict[str, Any], **variables: str
    ) -> None:
        #: What is special in its `Q_CLUSTER`.
        self.values = values
        self._home = Path(__file__).parent / name
        self._python = python
        self._folder = folder
        self._clusters: list[tuple[subprocess.Popen[bytes], Path]] = []
        usual = {"workers": 1, "retry": 60, "timeout": 30}
        self._variables = {
            **{key: value for key, value in os.environ.items() if not key.startswith("TEST_")},
            "DJANGO_SETTINGS_MODULE": "settings",
            "PYTHONPATH": str(self._home),
            "PROJECT_Q_CLUSTER": json.dumps(usual | values),
            **variables,
        }

    def do(self, deed: str, *arguments: Any) -> Any:
        """Let it do something of its `deeds`, and give the answer."""
        texts = [json.dumps(argument) for argument in arguments]
        done = subprocess.run(
            [self._python, self._home / "deeds.py", deed, *texts],
            env=self._variables,
            cwd=self._folder,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def start_cluster(self) -> None:
        """Start its cluster, in a process group that `close` ends."""
        log = self._folder / f"{self._home.name}-{len(self._clusters)}.log"
        with open(log, "wb") as output:
            popen = subprocess.Popen(
                [self._python, "-m", "django", "qcluster"],
                env=self._variables,
                cwd=self._folder,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._clusters.append((popen, log))

    def log(self) -> str:
        """What its clusters printed."""
        return "".join(log.read_text(errors="replace") for _, log in self._clusters)

    def close(self) -> None:
        """End its clusters, with all their processes."""
        for popen, _ in self._clusters:
            popen.terminate()
            try:
                popen.wait(10)
            except subprocess.TimeoutExpired:
                pass
            try:
                os.killpg(popen.pid, 9)
            except ProcessLookupError:
                pass
            popen.wait(10)
