"""An app with which the system refuses to fork, as often as a file says."""

import errno
import os
from pathlib import Path
from typing import NoReturn

from django.apps import AppConfig

_fork = os.fork


class ForklessConfig(AppConfig):
    """Puts itself before `os.fork`. The file is named by TEST_FORKS, and holds a number."""

    name = "tests.site.forkless"
    path = os.path.dirname(__file__)

    def ready(self) -> None:
        """Take its place."""
        os.fork = fork


def fork() -> int:
    """Fork, or be refused."""
    path = Path(os.environ["TEST_FORKS"])
    left = int(path.read_text()) if path.exists() else 0
    if not left:
        return _fork()
    path.write_text(str(left - 1))
    _refuse()


def _refuse() -> NoReturn:
    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
