"""`manage.py qmemory`: shows what memory the processes of the clusters take."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError
from django.db import close_old_connections
from django.utils import timezone

from django_q.conf import Conf
from django_q.exceptions import BrokerError, DjangoQError
from django_q.monitor import terminal
from django_q.monitor.memory_screen import Reading, memory_lines, screen_lines
from django_q.monitor.memory_use import Machine, Process, cluster_memory, machine_memory
from django_q.monitor.paint import Paint
from django_q.monitor.pipe import until_the_reader_leaves
from django_q.status import Stat
from django_q.texts import gettext as _

#: Seconds between two pictures: reading the memory of a large process takes the kernel some time.
_PERIOD = 2.0


class Command(BaseCommand):
    """Shows memory."""

    @property
    def help(self) -> str:  # type: ignore[override]
        """What `manage.py help` says first; argparse takes no lazy text."""
        return _("Shows what memory the processes of the clusters take; live in a terminal.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--workers", action="store_true", help=_("Show each process."))
        parser.add_argument("--run-once", action="store_true", help=_("Print it once, and end."))
        parser.add_argument("--json", action="store_true", help=_("Answer in JSON, once."))

    def handle(self, *args: Any, **options: Any) -> None:
        """Show it. Exit code 1 when the broker is away."""
        is_single = options["json"] or options["run_once"]
        if not is_single and terminal.is_live(self.stdout):
            terminal.show(_Memory(options["workers"]))
            return
        try:
            reading = _read()
        except (DjangoQError, DatabaseError) as error:
            raise CommandError(str(error)) from error
        with until_the_reader_leaves():
            self._print(reading, options)
        if not is_single and terminal.lacks_blessed(self.stdout):
            self.stderr.write(terminal.cure())

    def _print(self, reading: Reading, options: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(json.dumps(_as_dict(reading), indent=2))
            return
        paint = Paint(heading=self.style.MIGRATE_HEADING, warning=self.style.WARNING)
        lines = memory_lines(reading, paint, with_workers=options["workers"])
        self.stdout.write("\n".join(lines))


class _Memory:
    """The live screen."""

    period = _PERIOD

    def __init__(self, with_workers: bool) -> None:
        self._with_workers = with_workers

    def draw(self, width: int, height: int, paint: Paint, has_unicode: bool) -> list[str]:
        """Read, and give the picture."""
        try:
            reading = _read()
        except (BrokerError, DatabaseError) as error:
            reading = Reading(timezone.now(), Conf.PREFIX, (), Machine(), str(error))
        size = (width, height)
        return screen_lines(reading, paint, with_workers=self._with_workers, size=size)

    def press(self, key: str) -> bool:
        """Quit, or show the other of clusters and workers."""
        if key in ("w", "W"):
            self._with_workers = not self._with_workers
        return not terminal.end_keys(key)


def _read() -> Reading:
    close_old_connections()
    clusters = [cluster_memory(stat) for stat in Stat.get_all() if stat.status != Conf.STOPPED]
    return Reading(timezone.now(), Conf.PREFIX, clusters, machine_memory())


def _as_dict(reading: Reading) -> dict[str, Any]:
    clusters = [
        {
            "cluster_id": str(cluster.stat.cluster_id),
            "name": cluster.stat.name,
            "queue": cluster.stat.queue,
            "host": cluster.stat.host,
            **vars(cluster.total()),
            "processes": [_process_as_dict(process) for process in cluster.processes],
        }
        for cluster in reading.clusters
    ]
    return {"moment": str(reading.moment), "clusters": clusters, "machine": vars(reading.machine)}


def _process_as_dict(process: Process) -> dict[str, Any]:
    values = vars(process) | vars(process.usage)
    return {name: value for name, value in values.items() if name != "usage"}
