"""`manage.py qhealth`: tells by its exit code whether the cluster of this machine is healthy."""

import json
import socket
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.exceptions import BrokerError
from django_q.status import Stat
from django_q.texts import gettext as _

#: A file that was touched within so many seconds is fresh: it is touched each second.
_FRESH = 15.0


class Command(BaseCommand):
    """Exit code 0: healthy; 1: not. Prints what was found, a line each."""

    #: It has to be quick, and a site with a failing check is not a cluster that hangs.
    requires_system_checks = []

    @property
    def help(self) -> str:  # type: ignore[override]
        """What `manage.py help` says first; argparse takes no lazy text."""
        return _("Tells whether the cluster of this machine is healthy: exit code 0 or 1.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--file", help=_("The file of qcluster --health-file, instead of the setting.")
        )
        parser.add_argument(
            "--age", type=float, default=_FRESH, help=_("Seconds for which the file is fresh.")
        )
        parser.add_argument(
            "--ready",
            action="store_true",
            help=_("Ask broker and heartbeat too: is there a cluster that takes tasks?"),
        )
        parser.add_argument("--json", action="store_true", help=_("Answer in JSON."))

    def handle(self, *args: Any, **options: Any) -> None:
        """Look, print and leave with the code."""
        found: dict[str, str] = {}
        path = options["file"] or Conf.HEALTH_FILE
        if path:
            found["alive"] = _file_trouble(Path(path), options["age"])
        if options["ready"]:
            found |= _readiness()
        if not found:
            raise CommandError(
                "There is nothing to look at: run qcluster with --health-file PATH, or set "
                'Q_CLUSTER["health_file"], or ask with --ready.'
            )
        is_healthy = not any(found.values())
        if options["json"]:
            self.stdout.write(json.dumps({"healthy": is_healthy, **found}))
        else:
            for name, trouble in found.items():
                self.stdout.write(f"{name}: {trouble or 'ok'}")
        sys.exit(0 if is_healthy else 1)


def _file_trouble(path: Path, age: float) -> str:
    """Say what is wrong with the health file; nothing if it is fresh."""
    try:
        found = time.time() - path.stat().st_mtime
    except OSError as error:
        return f"{path}: {error.strerror}"
    return "" if found <= age else f"{path} was touched {found:.0f} s ago"


def _readiness() -> dict[str, str]:
    """Ask the broker, and for a cluster of this machine that takes tasks."""
    broker, host = get_broker(), socket.gethostname()
    try:
        answers = broker.ping()
        stats = [stat for stat in Stat.get_all(broker) if stat.host == host] if answers else []
    except BrokerError as error:
        return {"broker": str(error)}
    if not answers:
        return {"broker": "it does not answer"}
    at_work = [stat for stat in stats if stat.status in (Conf.IDLE, Conf.WORKING)]
    return {"broker": "", "cluster": "" if at_work else f"none on {host} takes tasks"}
