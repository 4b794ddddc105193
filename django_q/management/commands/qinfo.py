"""`manage.py qinfo`: what runs, what waits and what was done, on one screen; and the settings."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError

from django_q.brokers import broker_path
from django_q.conf import Conf
from django_q.exceptions import DjangoQError
from django_q.monitor.overview import look
from django_q.monitor.pipe import until_the_reader_leaves
from django_q.monitor.screen import overview_lines
from django_q.monitor.settings import shown_settings
from django_q.status import Stat
from django_q.texts import gettext as _


class Command(BaseCommand):
    """Tells an operator how things stand."""

    @property
    def help(self) -> str:  # type: ignore[override]
        """What `manage.py help` says first; argparse takes no lazy text."""
        return _("Shows clusters, queues, tasks and schedules.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what else it can show."""
        what = parser.add_mutually_exclusive_group()
        what.add_argument(
            "--config", action="store_true", help=_("Show the settings in force, secrets masked.")
        )
        what.add_argument(
            "--ids", action="store_true", help=_("Show only the ids of the running clusters.")
        )
        parser.add_argument("--json", action="store_true", help=_("Answer in JSON."))

    def handle(self, *args: Any, **options: Any) -> None:
        """Show it. Exit code 1 when the broker or the database is away."""
        try:
            with until_the_reader_leaves():
                self._show(options)
        except DjangoQError as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(f"The database cannot be asked: {error}") from error

    def _show(self, options: dict[str, Any]) -> None:
        if options["config"]:
            self._show_config(options["json"])
        elif options["ids"]:
            self._show_ids(options["json"])
        else:
            self._show_overview(options["json"])

    def _show_overview(self, as_json: bool) -> None:
        overview = look()
        if as_json:
            self._write_json(overview.as_dict())
            return
        lines = overview_lines(overview, self.style.MIGRATE_HEADING, self.style.WARNING)
        self.stdout.write("\n".join(lines))

    def _show_ids(self, as_json: bool) -> None:
        ids = [str(stat.cluster_id) for stat in Stat.get_all()]
        if as_json:
            self._write_json(ids)
        elif not ids:
            self.stderr.write(_("No cluster is running. Start one: python manage.py qcluster"))
        for cluster_id in [] if as_json else ids:
            self.stdout.write(cluster_id)

    def _show_config(self, as_json: bool) -> None:
        values = shown_settings()
        if as_json:
            self._write_json(values)
            return
        width = max(map(len, values)) + 1
        for key, value in values.items():
            is_own = "*" if Conf.is_set(key) else " "
            self.stdout.write(f"{is_own} {key:{width}} {value!r}")
        self.stdout.write("")
        self.stdout.write(_("Broker: %(path)s. Settings of the project have a star.")
                          % {"path": broker_path()})  # fmt: skip

    def _write_json(self, value: Any) -> None:
        self.stdout.write(json.dumps(value, indent=2, default=str))
