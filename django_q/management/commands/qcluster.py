"""`manage.py qcluster`: runs a cluster in this process."""

import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from django_q.cluster.cluster import Cluster
from django_q.cluster.console import configure_logging
from django_q.cluster.reloader import run_with_reloader
from django_q.conf import Conf
from django_q.exceptions import BrokerError, ConfigurationError
from django_q.texts import gettext as _


class Command(BaseCommand):
    """Starts a cluster and stays until it is stopped."""

    @property
    def help(self) -> str:  # type: ignore[override]
        """What `manage.py help` says first; argparse takes no lazy text."""
        return _("Starts a Django Q cluster: workers that run the tasks of a queue.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--run-once",
            action="store_true",
            help=_("Run what is in the queue, then stop."),
        )
        parser.add_argument(
            "-n",
            "--name",
            dest="cluster_name",
            help=_("Name of the queue to serve; its settings come from ALT_CLUSTERS, if there."),
        )
        parser.add_argument(
            "--workers",
            type=int,
            help=_("Number of worker processes, instead of the setting."),
        )
        parser.add_argument(
            "--health-file",
            help=_("File to touch each second while every part makes progress."),
        )
        parser.add_argument(
            "--reload",
            action="store_true",
            help=_("Start again when a source file changes. For development."),
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the cluster; the exit code is 0 after a clean stop."""
        if not settings.SECRET_KEY:
            raise CommandError("settings.SECRET_KEY is empty: packages cannot be signed.")
        if options["workers"] is not None and options["workers"] < 1:
            raise CommandError(f"--workers is {options['workers']}: a cluster needs at least one.")
        if options["cluster_name"]:
            # In the environment, so that spawned children choose the same.
            os.environ["Q_CLUSTER_NAME"] = options["cluster_name"]
            Conf.reset()
        configure_logging()
        if options["reload"]:
            sys.exit(run_with_reloader())
        sys.exit(self._run(options))

    def _run(self, options: dict[str, Any]) -> int:
        try:
            return Cluster().run(
                options["workers"],
                run_once=options["run_once"],
                health_file=options["health_file"],
            )
        except (BrokerError, ConfigurationError) as error:
            raise CommandError(str(error)) from error
