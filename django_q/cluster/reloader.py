"""`qcluster --reload`: runs the cluster beside this process and starts it anew on changes.

For development. Watches the Python files of the project and of what it has imported.
"""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from django.apps import apps
from django.utils import autoreload

from django_q.conf import logger

#: Time between two looks at the files, as Django's own StatReloader.
_PERIOD = 1.0


def run_with_reloader() -> int:
    """Run this command without `--reload`, again after each change; gives its last exit code."""
    command = [sys.executable, *_arguments()]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    while True:
        seen = _snapshot()
        # In a group of its own: one Ctrl-C shall not come twice, from the terminal and from here.
        cluster = subprocess.Popen(command, process_group=0)  # noqa: S603, our own command line
        try:
            changed = _watch(cluster, seen)
        except KeyboardInterrupt:
            return _end(cluster)
        if changed is None and cluster.returncode == 0:
            return 0
        if changed is None:
            logger.error("The cluster ended with exit code %d; waiting for a change",
                         cluster.returncode)  # fmt: skip
            changed = _wait_for_change(seen)
        logger.info("%s changed: the cluster starts anew", changed)
        _end(cluster)


def _arguments() -> list[str]:
    arguments = [argument for argument in sys.argv if argument != "--reload"]
    if Path(arguments[0]).name == "__main__.py":  # python -m django
        return ["-m", "django", *arguments[1:]]
    return arguments


def _watch(cluster: subprocess.Popen[bytes], seen: dict[Path, float]) -> Path | None:
    while cluster.poll() is None:
        time.sleep(_PERIOD)
        if (changed := _changed(seen)) is not None:
            return changed
    return None


def _wait_for_change(seen: dict[Path, float]) -> Path:
    while (changed := _changed(seen)) is None:
        time.sleep(_PERIOD)
    return changed


def _changed(seen: dict[Path, float]) -> Path | None:
    now = _snapshot()
    return next((path for path, moment in now.items() if seen.get(path) != moment), None)


def _snapshot() -> dict[Path, float]:
    moments = {}
    for path in _files():
        try:
            moments[path] = path.stat().st_mtime
        except OSError:
            continue
    return moments


def _files() -> Iterator[Path]:
    """Give the project's own files, imported or not yet, and all that is imported."""
    yield from autoreload.iter_all_python_module_files()
    for config in apps.get_app_configs():
        root = Path(config.path)
        if "site-packages" not in root.parts and "dist-packages" not in root.parts:
            yield from root.rglob("*.py")


def _end(cluster: subprocess.Popen[bytes]) -> int:
    """Stop the cluster; who cannot wait says so a second time, and it is told."""
    while cluster.poll() is None:
        cluster.send_signal(signal.SIGTERM)
        with contextlib.suppress(KeyboardInterrupt):
            cluster.wait()
    return cluster.returncode
