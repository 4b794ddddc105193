"""The demo, step by step.

1. Prepare: the tables, and somebody who may sign in.
2. Start ``qcluster`` and ``runserver`` as child processes.
3. Start the survey and show how far it is, then what it found.
4. In a terminal stay up until Ctrl-C, otherwise end at once. Stop everything.

The exit code is 0 when every file was analysed and only those tasks failed that were meant to.
"""

import contextlib
import http.client
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from types import FrameType

from django.contrib.auth import get_user_model
from django.core.management import call_command

from demonstration.children import Child, DemoError, free_port, stop
from demonstration.terminal import Terminal
from django_q.brokers import get_broker
from survey.models import Survey
from survey.progress import Progress
from survey.report import report
from survey.start import MEANT_TO_FAIL, start_survey

#: Name and password of the demo's user. The site listens on 127.0.0.1 only.
LOGIN = "demo"

#: Port of the site, if it is free.
PORT = 8000

#: Seconds in which at least one task must end.
PATIENCE = 60

#: Seconds the site may take to give its first answer.
BOOT = 30

#: Seconds between two looks.
LOOK = 0.2


def show() -> int:
    """Run the demo and return its exit code."""
    # kill, and a terminal that closes, end the demo as Ctrl-C does: with its children stopped.
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    # The log lines of the producer, one for each task, would stand in the middle of the bar.
    logging.getLogger("django-q").setLevel(logging.WARNING)
    terminal = Terminal()
    try:
        with _running(terminal) as children:
            survey, progress = _survey(terminal, children)
            if _is_attended():
                terminal.say("\nThe page and the admin stay up. Ctrl-C stops everything.")
                _stay(children)
        _empty_the_queue()
    except DemoError as error:
        terminal.say(f"\n{error}", "bad")
        return 1
    except KeyboardInterrupt:
        _empty_the_queue()
        terminal.say("\nInterrupted. Everything is stopped.")
        return 128 + signal.SIGINT
    return _summary(terminal, survey, progress)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def _running(terminal: Terminal) -> Iterator[list[Child]]:
    """The cluster and the site, up and reachable; stopped afterwards, whatever happens."""
    _prepare()
    port = free_port(PORT)
    children: list[Child] = []
    try:
        children.append(Child("qcluster", "qcluster"))
        children.append(Child("site", "runserver", "--noreload", f"127.0.0.1:{port}"))
        _await_site(children, port)
        terminal.heading("Django Q: the example site")
        terminal.say(f"  Page   http://127.0.0.1:{port}/")
        terminal.say(f"  Admin  http://127.0.0.1:{port}/admin/  (user {LOGIN}, password {LOGIN})")
        yield children
    finally:
        terminal.say("\nStopping the site and the cluster ...", "soft")
        stop(children)


def _prepare() -> None:
    """Make the tables, and the user that may sign in to the admin."""
    call_command("migrate", verbosity=0, interactive=False)
    rights = {"is_staff": True, "is_superuser": True}
    user, _ = get_user_model().objects.update_or_create(username=LOGIN, defaults=rights)
    user.set_password(LOGIN)
    user.save()


def _await_site(children: list[Child], port: int) -> None:
    deadline = time.monotonic() + BOOT
    while not _answers(port):
        for child in children:
            child.check()
        if time.monotonic() > deadline:
            raise children[-1].trouble(f"The site does not answer within {BOOT} s")
        time.sleep(LOOK)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=BOOT)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def _survey(terminal: Terminal, children: list[Child]) -> tuple[Survey, Progress]:
    """Start the survey, watch it, show what it found."""
    survey = start_survey()
    terminal.heading(
        f"{survey.total:,} tasks: one for each file of Python's standard library, and two that fail"
    )
    progress = _watch(survey, terminal, children)
    terminal.report(report(survey.results()))
    terminal.failures(survey.failures())
    return survey, progress


def _watch(survey: Survey, terminal: Terminal, children: list[Child]) -> Progress:
    """Show how far the survey is until it is finished."""
    progress = survey.progress()
    moved = time.monotonic()
    while not progress.finished:
        terminal.progress(progress)
        for child in children:
            child.check()
        if time.monotonic() - moved > PATIENCE:
            terminal.end_progress()
            raise children[0].trouble(f"No task ended for {PATIENCE} s")
        time.sleep(LOOK)
        ended, progress = progress.ended, survey.progress()
        if progress.ended > ended:
            moved = time.monotonic()
    terminal.progress(progress)
    terminal.end_progress()
    return progress


def _is_attended() -> bool:
    """Whether somebody sits at a terminal and wants to look at the page."""
    return os.environ.get("DEMO_EXIT") != "1" and sys.stdin is not None and sys.stdin.isatty()


def _stay(children: list[Child]) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            for child in children:
                child.check()
            time.sleep(LOOK)


def _empty_the_queue() -> None:
    """Drop what still waits: otherwise it would be the first thing that the next demo does."""
    get_broker().purge_queue()


def _summary(terminal: Terminal, survey: Survey, progress: Progress) -> int:
    """The last line, and the exit code."""
    failed = [failure["name"] for failure in survey.failures()]
    as_meant = sorted(failed) == sorted(MEANT_TO_FAIL)
    terminal.say(
        f"{progress.total} tasks, {progress.total - len(failed)} done, {len(failed)} failed "
        f"{'on purpose' if as_meant else 'against all intention'}, {progress.seconds:.1f} s"
    )
    return 0 if as_meant else 1
