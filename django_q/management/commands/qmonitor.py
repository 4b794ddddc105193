"""`manage.py qmonitor`: watches clusters, workers and queues, live in a terminal."""

import dataclasses
import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from django_q.exceptions import DjangoQError
from django_q.monitor import terminal
from django_q.monitor.overview import Queue, Schedules, Tasks, cluster_as_dict
from django_q.monitor.paint import Paint
from django_q.monitor.pipe import until_the_reader_leaves
from django_q.monitor.watch import Sight, Watch
from django_q.monitor.watch_screen import View, chosen_cluster, screen_lines, snapshot_lines
from django_q.texts import gettext as _

#: Seconds between two pictures: clusters say how they are twice a second.
_PERIOD = 0.5


class Command(BaseCommand):
    """Shows what runs, as it runs."""

    @property
    def help(self) -> str:  # type: ignore[override]
        """What `manage.py help` says first; argparse takes no lazy text."""
        return _("Watches clusters, workers and queues; live in a terminal.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--run-once", action="store_true", help=_("Print it once, and end."))
        parser.add_argument("--json", action="store_true", help=_("Answer in JSON, once."))

    def handle(self, *args: Any, **options: Any) -> None:
        """Show it. Exit code 1 when there is nothing to be seen, and why."""
        try:
            watch = Watch()
        except DjangoQError as error:
            raise CommandError(str(error)) from error
        is_single = options["json"] or options["run_once"]
        if not is_single and terminal.is_live(self.stdout):
            terminal.show(_Monitor(watch))
            return
        with until_the_reader_leaves():
            self._print(watch.look(), options["json"])
        if not is_single and terminal.lacks_blessed(self.stdout):
            self.stderr.write(terminal.cure())

    def _print(self, sight: Sight, as_json: bool) -> None:
        if sight.problem:
            raise CommandError(sight.problem)
        if as_json:
            self.stdout.write(json.dumps(_as_dict(sight), indent=2, default=_plain))
            return
        paint = Paint(heading=self.style.MIGRATE_HEADING, warning=self.style.WARNING)
        self.stdout.write("\n".join(snapshot_lines(sight, paint)))


class _Monitor:
    """The live screen."""

    period = _PERIOD

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._sight: Sight | None = None
        self._chosen = ""
        self._is_held = False

    def draw(self, width: int, height: int, paint: Paint, has_unicode: bool) -> list[str]:
        """Look, unless it is held, and give the picture."""
        if self._sight is None or not self._is_held:
            self._sight = self._watch.look()
        view = View(width, height, self._chosen, self._is_held, has_unicode)
        return screen_lines(self._sight, view, paint)

    def press(self, key: str) -> bool:
        """Quit, choose a cluster, hold the picture."""
        if key in ("p", "P", " "):
            self._is_held = not self._is_held
        step = {"KEY_UP": -1, "k": -1, "KEY_DOWN": 1, "j": 1}.get(key, 0)
        if step and self._sight is not None and self._sight.clusters:
            ids = [str(stat.cluster_id) for stat in self._sight.clusters]
            now = chosen_cluster(self._sight, self._chosen)
            place = ids.index(str(now.cluster_id)) if now is not None else 0
            self._chosen = ids[max(0, min(place + step, len(ids) - 1))]
        return not terminal.end_keys(key)


def _plain(value: Any) -> Any:
    is_figure = isinstance(value, (Queue, Schedules, Tasks))
    return dataclasses.asdict(value) if is_figure else str(value)


def _as_dict(sight: Sight) -> dict[str, Any]:
    clusters = [cluster_as_dict(stat) for stat in sight.clusters]
    names = ("moment", "project", "broker", "queues", "tasks", "schedules")
    return {name: getattr(sight, name) for name in names} | {"clusters": clusters}
