"""What the project with add-ons does: `python deeds.py NAME ARGUMENT...`, answers JSON."""

import importlib
import io
import json
import sys
from typing import Any

import django

if __name__ == "__main__":
    django.setup()

from django.contrib.auth.models import User
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.management import call_command
from django.utils import timezone

from django_q import tasks
from django_q.models import Schedule, Task


def migrate() -> None:
    """Make the tables."""
    call_command("migrate", verbosity=0)
    call_command("check")


def plan() -> list[dict[str, Any]]:
    """Let django-q-registry write its schedules, twice."""
    for _ in range(2):
        call_command("setup_periodic_tasks")
    fields = ("name", "func", "schedule_type", "cron", "repeats", "kwargs")
    return list(Schedule.objects.order_by("name").values(*fields))


def run_plan(name: str) -> Any:
    """Make a schedule due, and give what its task gave."""
    Schedule.objects.filter(name=name).update(next_run=timezone.now())
    (value,) = tasks.result_group(name, wait=20_000, count=1)
    return value


def mail(backend: str) -> bool:
    """Send a mail through the cluster; whether that went well."""
    message = EmailMultiAlternatives("subject", "plain", "a@example.com", ["b@example.com"])
    message.attach_alternative("<b>fat</b>", "text/html")
    message.attach("note.txt", "attached", "text/plain")
    message.connection = get_connection(backend)
    message.send()
    return wait_for(f"{backend.rpartition('.')[0]}.send_message").success


def save_user() -> list[Any]:
    """Save a user, and give what the receivers in the cluster gave."""
    importlib.import_module("shop.receivers")
    User.objects.create(username="ada")
    paths = ("shop.receivers.greet_task", "shop.receivers.count_task")
    return [wait_for(path).result for path in paths]


def send_named(func: str, name: str, *args: Any) -> str:
    """Send a task."""
    return tasks.async_task(func, *args, task_name=name)


def tell(task_id: str) -> Any:
    """Give how a task ended."""
    task = tasks.fetch(task_id, wait=20_000)
    return task and {"status": task.status, "result": str(task.result)}


def watch(*arguments: str) -> Any:
    """Give what django-q-watchdog says."""
    output = io.StringIO()
    call_command("qwatchdog", "--json", *arguments, stdout=output)
    return json.loads(output.getvalue())


def version(module: str) -> str:
    """Give the version of an installed module."""
    return str(importlib.import_module(f"{module}.__about__").__version__)


def wait_for(func: str) -> Task:
    """Wait for the outcome of a function's task."""
    for _ in range(400):
        task = Task.objects.filter(func=func).first()
        if task is not None:
            return task
        # A look-up that waits 50 ms for what is never sent.
        tasks.fetch("nothing", wait=50)
    raise AssertionError(f"{func} has not ended")


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    answer = globals()[name](*map(json.loads, arguments))
    print("\n" + json.dumps(answer))
