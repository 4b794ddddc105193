"""Import modules of django_q, each in a process of its own, and tell what that did.

Run by `tests/test_architecture.py` as a script, in a fresh interpreter:

    python silent_imports.py bare|registry MODULE...

prints a JSON object: module to list of findings, empty when the import did nothing but define.
`bare`: Django has no settings at all, so reading any setting fails. `registry`: the app registry is
set up, once for all, with settings whose `Q_CLUSTER` must not be read: for what imports models.
What the setting up itself did, with the modules that it loads, is told of each.
"""

import importlib
import json
import logging
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

#: Audit events that mean "it did something" (Python's audit events table); prefixes end in a dot.
_DEEDS = (
    *("open", "os.mkdir", "os.remove", "os.rename", "os.listdir", "os.scandir", "os.system"),
    *("os.fork", "os.exec", "os.posix_spawn", "subprocess.Popen", "shutil.", "tempfile."),
    *("socket.", "sqlite3.", "signal.pthread_kill", "_thread.start_new_thread", "ctypes.dlopen"),
)
_APPS = ["auth", "contenttypes", "sessions", "messages", "admin"]


class Watch:
    """Collects findings of this process from the moment it is made."""

    def __init__(self) -> None:
        self.findings: list[str] = []
        self._handlers = _handlers()
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(_DEEDS) and _is_ours(sys._getframe(1)):
            self.findings.append(f"{event} {arguments[0] if arguments else ''}".strip())

    def finish(self) -> list[str]:
        """Add what shows only afterwards, and give all findings."""
        if threading.active_count() > 1:
            self.findings.append(f"threads: {threading.enumerate()}")
        if _handlers() != self._handlers:
            self.findings.append("installed a signal handler")
        if logging.getLogger("django-q").handlers:
            self.findings.append("attached a log handler")
        return self.findings


class TrapSettings:
    """Django's defaults, but whoever reads `Q_CLUSTER` is written down."""

    def __init__(self) -> None:
        self.reads: list[str] = []

    def __getattr__(self, name: str) -> Any:
        from django.conf import global_settings

        if name == "Q_CLUSTER":
            self.reads.append("read Q_CLUSTER")
        return getattr(global_settings, name)


def _is_ours(frame: FrameType | None) -> bool:
    """Whether code of django_q does this, rather than another package that it imports."""
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.startswith("importlib._bootstrap") or name == "_frozen_importlib":
            return False
        if name.partition(".")[0] == "django_q":
            return True
        frame = frame.f_back
    return False


def _handlers() -> dict[int, Any]:
    return {int(number): signal.getsignal(number) for number in signal.valid_signals()}


def _set_up() -> TrapSettings:
    import django
    from django.conf import settings

    trap = TrapSettings()
    apps = [*(f"django.contrib.{name}" for name in _APPS), "django_q"]
    settings.configure(trap, INSTALLED_APPS=apps, SECRET_KEY="unused")
    django.setup()
    return trap


def _look(watch: Watch, trap: TrapSettings | None, module: str) -> list[str]:
    """Import one module and give the findings; runs in a process forked for it."""
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "django_q":
            return [f"{type(error).__name__}: {error}"]
        return [f"missing client: {error.name}"]
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]
    return [*watch.finish(), *(trap.reads if trap else [])]


def _look_apart(watch: Watch, trap: TrapSettings | None, module: str) -> list[str]:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            findings = _look(watch, trap, module)
        except BaseException as error:
            findings = [repr(error)]
        os.write(writer, json.dumps(findings).encode())
        os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    return list(json.loads(answer or '["died while importing"]'))


def main() -> None:
    """Look at each module named on the command line."""
    # Loaded once, before the forks: it is not what is looked at.
    import django.conf
    import django.db.models  # noqa: F401

    mode, *modules = sys.argv[1:]
    watch = Watch()
    trap = _set_up() if mode == "registry" else None
    print(json.dumps({module: _look_apart(watch, trap, module) for module in modules}))


if __name__ == "__main__":
    main()
