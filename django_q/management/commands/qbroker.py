"""`manage.py qbroker`: looks at a queue and its broker, and at packages that were rejected."""

import json
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils import timezone

from django_q.brokers import Broker, broker_path, get_broker, shared_broker
from django_q.brokers.estimate import Estimate
from django_q.dispatch import forget_queue
from django_q.exceptions import BrokerError, ConfigurationError, ResultsUnavailable
from django_q.models import Rejected
from django_q.monitor.pipe import until_the_reader_leaves
from django_q.texts import gettext as _

#: Characters of a payload that a list shows; `rejected show` gives all of it.
_SHORT = 40
#: Packages that `rejected list` shows at most.
_LISTED = 1000


class Command(BaseCommand):
    """Gives an operator a hand on the broker."""

    @property
    def help(self) -> str:  # type: ignore[override]
        """What `manage.py help` says first; argparse takes no lazy text."""
        return _("Looks at a broker and its queue, and at packages that were rejected.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare one sub-command for each thing to do."""
        commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
        plain = {
            "info": _("Name and version of the server, class and queue."),
            "ping": _("Ask the server for a sign of life; exit code 1 when there is none."),
            "size": _("Count what waits and what is leased."),
        }
        for name, text in plain.items():
            _add_common(commands.add_parser(name, help=text))
        for name, text in (
            ("purge", _("Take all packages out of the queue.")),
            ("delete", _("Remove the queue with all that is in it.")),
        ):
            _add_consent(_add_common(commands.add_parser(name, help=text)))
        rejected = commands.add_parser("rejected", help=_("Packages that could not be opened."))
        _add_rejected(rejected)

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what the command line says. Exit code 1 when the broker refuses or is away."""
        try:
            with until_the_reader_leaves():
                if options["command"] == "rejected":
                    self._rejected(options)
                else:
                    getattr(self, f"_{options['command']}")(get_broker(options["queue"]), options)
        except (BrokerError, ConfigurationError, DatabaseError, ResultsUnavailable) as error:
            raise CommandError(str(error)) from error

    # -- the queue --------------------------------------------------------------------------

    def _info(self, broker: Broker, options: dict[str, Any]) -> None:
        values = {"queue": broker.list_key, "broker": broker_path(), "server": broker.info()}
        self._tell(values, options)

    def _ping(self, broker: Broker, options: dict[str, Any]) -> None:
        if not broker.ping():
            raise CommandError(f"{broker_path()} does not answer.")
        self._tell({"queue": broker.list_key, "ping": True}, options)

    def _size(self, broker: Broker, options: dict[str, Any]) -> None:
        waiting = broker.queue_size()
        values = {"queue": broker.list_key, "waiting": waiting, "leased": broker.lock_size()}
        if options["json"]:
            values["is_estimate"] = isinstance(waiting, Estimate)
        self._tell(values, options)

    def _purge(self, broker: Broker, options: dict[str, Any]) -> None:
        waiting, sizes = _sizes(broker)
        self._ask(f"Take everything out of {sizes}? It is lost.", options)
        broker.purge_queue()
        forget_queue(broker.list_key)
        self._tell({"queue": broker.list_key, "purged": waiting}, options)

    def _delete(self, broker: Broker, options: dict[str, Any]) -> None:
        _, sizes = _sizes(broker)
        self._ask(f"Remove {sizes}? What is in it is lost.", options)
        broker.delete_queue()
        forget_queue(broker.list_key)
        self._tell({"queue": broker.list_key, "deleted": True}, options)

    # -- rejected packages ------------------------------------------------------------------

    def _rejected(self, options: dict[str, Any]) -> None:
        actions: dict[str, Callable[[dict[str, Any]], None]] = {
            "list": self._list_rejected,
            "show": self._show_rejected,
            "requeue": self._requeue,
            "drop": self._drop,
        }
        actions[options["action"]](options)

    def _list_rejected(self, options: dict[str, Any]) -> None:
        rows = Rejected.objects.order_by("-rejected")
        if options["queue"]:
            rows = rows.filter(queue=options["queue"])
        found = [_row(row) | {"payload": _shortened(row.payload)} for row in rows[:_LISTED]]
        if options["json"]:
            self.stdout.write(json.dumps(found, indent=2))
            return
        for row in found:
            self.stdout.write(f"{row['id']:>6}  {row['rejected']}  {row['queue']}\n"
                              f"        {row['reason']}")  # fmt: skip
        if not found:
            self.stdout.write("No package was rejected.")
        elif len(found) == _LISTED:
            self.stdout.write(f"These are the newest {_LISTED} of {rows.count()}.")

    def _show_rejected(self, options: dict[str, Any]) -> None:
        found = [_row(row) for row in self._chosen(options)]
        if options["json"]:
            self.stdout.write(json.dumps(found, indent=2))
            return
        for values in found:
            self._tell(values, options)

    def _requeue(self, options: dict[str, Any]) -> None:
        rows = self._chosen(options)
        for row in rows:
            shared_broker(row.queue).enqueue(row.payload)
            row.delete()
        self._tell({"requeued": len(rows)}, options)

    def _drop(self, options: dict[str, Any]) -> None:
        rows = self._chosen(options)
        self._ask(f"Drop what was rejected ({len(rows)})? It is lost.", options)
        for row in rows:
            row.delete()
        self._tell({"dropped": len(rows)}, options)

    def _chosen(self, options: dict[str, Any]) -> list[Rejected]:
        rows = Rejected.objects.order_by("pk")
        if options["queue"]:
            rows = rows.filter(queue=options["queue"])
        if options["all"]:
            return list(rows)
        found = list(rows.filter(pk__in=options["ids"]))
        missing = sorted(set(options["ids"]) - {row.pk for row in found})
        if missing or not options["ids"]:
            what = f"There is no rejected package {missing[0]}." if missing else "Which ones?"
            raise CommandError(f"{what} Give ids from `qbroker rejected list`, or --all.")
        return found

    # -- talking ----------------------------------------------------------------------------

    def _tell(self, values: dict[str, Any], options: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(json.dumps(values, indent=2))
            return
        width = max(len(key) for key in values) + 2
        for key, value in values.items():
            self.stdout.write(f"{key + ':':{width}}{_text(value)}")

    def _ask(self, question: str, options: dict[str, Any]) -> None:
        """Go on only with consent: `--yes`, or the word at the prompt."""
        if options["yes"]:
            return
        try:
            # Not to where the answer in JSON goes.
            self.stderr.write(f"{question} [yes/no] ", style_func=str, ending="")
            self.stderr.flush()
            answer = input()
        except (EOFError, KeyboardInterrupt):
            # Nobody has ended the line of the question.
            self.stderr.write("")
            answer = ""
        if answer.strip().lower() not in ("yes", "y"):
            raise CommandError("Nothing was changed. Give --yes to go on without being asked.")


def _sizes(broker: Broker) -> tuple[int, str]:
    """Give how many wait, and the queue with its sizes for a question."""
    waiting, leased = broker.queue_size(), broker.lock_size()
    also = "" if leased is None else f", leased: {leased}"
    return waiting, f"the queue {broker.list_key!r} (waiting: {_text(waiting)}{also})"


def _text(value: Any) -> str:
    if value is None:
        return "unknown"
    return f"about {value}" if isinstance(value, Estimate) else str(value)


def _shortened(payload: str) -> str:
    return payload if len(payload) <= _SHORT else f"{payload[:_SHORT]}..."


def _row(row: Rejected) -> dict[str, Any]:
    return {
        "id": row.pk,
        "queue": row.queue,
        "rejected": timezone.localtime(row.rejected).isoformat(" ", "seconds"),
        "reason": row.reason,
        "payload": row.payload,
    }


def _add_common(parser: ArgumentParser) -> ArgumentParser:
    parser.add_argument("--queue", help=_("Name of the queue, instead of this cluster's."))
    parser.add_argument("--json", action="store_true", help=_("Answer in JSON."))
    return parser


def _add_consent(parser: ArgumentParser) -> ArgumentParser:
    parser.add_argument("--yes", action="store_true", help=_("Do it without asking."))
    return parser


def _add_rejected(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_common(actions.add_parser("list", help=_("List them, newest first.")))
    for name, text in (
        ("show", _("Show them with payload and reason.")),
        ("requeue", _("Put them back into their queue, for instance after a key was restored.")),
        ("drop", _("Forget them.")),
    ):
        action = _add_consent(_add_common(actions.add_parser(name, help=text)))
        action.add_argument("ids", nargs="*", type=int, metavar="ID")
        action.add_argument("--all", action="store_true", help=_("All of them."))
