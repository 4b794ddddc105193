"""Environments of the peers: each its own, made when it is first needed.

They lie in `build/peers`, or where `BENCH_ENVIRONMENTS` says, and are kept: remove a folder to get
the newest versions.
"""

import json
import os
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from benchmarks.catalogue import Peer

ROOT = Path(__file__).parents[1]


def python_of(peer: Peer) -> str:
    """The interpreter of the peer's environment, which is made if it is not there."""
    if peer.name == "ours":
        return sys.executable
    # The same Django for all: the site is the same.
    return _environment(peer.name, (f"django=={metadata.version('django')}", *peer.requirements))


def python_that_plots() -> str:
    """The interpreter of an environment with matplotlib."""
    return _environment("plots", ("matplotlib",))


def path_of(peer: Peer) -> str:
    """What goes into `PYTHONPATH`: this package, and our own only for us.

    Django Q's module has the name of django-q2's.
    """
    if peer.name == "ours":
        return str(ROOT)
    folder = ROOT / "build" / "peers-path"
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "benchmarks"
    if not link.exists():
        link.symlink_to(ROOT / "benchmarks")
    return str(folder)


def version_of(peer: Peer) -> str | None:
    """The installed version; None where the environment has not been made."""
    python = sys.executable if peer.name == "ours" else str(_python(_folder() / peer.name))
    if not Path(python).exists():
        return None
    code = f"from importlib import metadata; print(metadata.version({peer.distribution!r}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True)  # noqa: S603
    return done.stdout.strip() or None


def _environment(name: str, requirements: tuple[str, ...]) -> str:
    folder = _folder() / name
    stamp = folder / "installed.json"
    python = str(_python(folder))
    if stamp.exists() and json.loads(stamp.read_text()) == list(requirements):
        return python
    print(f"Making the environment {folder} with {', '.join(requirements)}", file=sys.stderr)
    with tempfile.TemporaryFile("w+") as output:
        for words in (
            [sys.executable, "-m", "venv", str(folder)],
            [python, "-m", "pip", "install", "--quiet", "--upgrade", *requirements],
        ):
            if subprocess.run(words, stdout=output, stderr=output).returncode:  # noqa: S603
                output.seek(0)
                raise SystemExit(f"{' '.join(words)} failed:\n{output.read()[-2000:]}")
    stamp.write_text(json.dumps(requirements))
    return python


def _folder() -> Path:
    return Path(os.environ.get("BENCH_ENVIRONMENTS", ROOT / "build" / "peers"))


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"
