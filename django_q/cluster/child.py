"""Where every child process of a cluster begins: the same for fork, forkserver and spawn.

Importable before Django is set up, since a spawned child has to set it up itself.
"""

import importlib
import logging
import multiprocessing.connection
import os
import random
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

import django
from django.apps import apps

from django_q.cluster.scoreboard import Scoreboard, State
from django_q.cluster.system import lead_group, unblock_signals

#: The module that makes roles, found by its path: it needs Django, which this one sets up.
ROLES = "django_q.cluster.roles"
#: Exit status of a child that cannot boot: trying again would not help (EX_CONFIG of sysexits.h).
EXIT_BOOT_FAILED = 78


class Boot(NamedTuple):
    """What a child is told."""

    #: "worker" or "housekeeper".
    role: str
    #: For logs and the process list.
    name: str
    slot: int
    cluster_id: str
    cluster_name: str
    queue: str
    #: When the cluster began, as a Unix time; and its supervisor.
    began: float
    supervisor: int
    board: Scoreboard
    #: Closes when the supervisor is gone.
    life: multiprocessing.connection.Connection
    #: The supervisor calls the housekeeper by it.
    bell: multiprocessing.connection.Connection
    #: The housekeeper stops the cluster once the queue is empty.
    run_once: bool = False


def run_child(boot: Boot, keep_alive: multiprocessing.connection.Connection | None) -> None:
    """Run one child to its end. `keep_alive` is the supervisor's end of the pipe after a fork."""
    _leave_the_supervisor(keep_alive)
    slot = boot.board.slot(boot.slot)
    slot.set("pid", os.getpid())
    slot.set("state", State.BOOTING)
    try:
        run = _prepare(boot)
    except BaseException as error:  # a boot that fails must say why, whatever it was
        _report(boot, error)
        # Nothing is held yet, and exit handlers of the parent's libraries are not ours to run.
        sys.stderr.flush()
        os._exit(EXIT_BOOT_FAILED)
    run()
    _end_with_threads()


def run_function(path: str, *args: Any) -> None:
    """Set Django up where that is needed, and call the function at this path for the exit code."""
    if not apps.ready:
        django.setup()
    module, _, name = path.rpartition(".")
    sys.exit(getattr(importlib.import_module(module), name)(*args))


def _leave_the_supervisor(keep_alive: multiprocessing.connection.Connection | None) -> None:
    """Give up what was the supervisor's: its pipe end, its signals, its process group."""
    if keep_alive is not None:
        keep_alive.close()
    signal.set_wakeup_fd(-1)
    # A Ctrl-C in the terminal goes to the supervisor, which stops the children in order.
    lead_group()
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))
    unblock_signals(signal.valid_signals())
    random.seed()


def _prepare(boot: Boot) -> Callable[[], None]:
    """Set Django up where that is needed and make the role's object; gives what runs it."""
    if not apps.ready:
        django.setup()
    make: Callable[[Boot], Callable[[], None]] = importlib.import_module(ROLES).make
    return make(boot)


def _end_with_threads() -> None:
    """End here and now if a task has left a thread that would keep this process from ending."""
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    if any(not thread.daemon for thread in others):
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)


def _report(boot: Boot, error: BaseException) -> None:
    """Tell the real error, through the log where Django is set up, else to standard error."""
    text = f"{boot.name} cannot start: {type(error).__name__}: {error}"
    logger = logging.getLogger("django-q")
    if logger.hasHandlers():
        logger.critical(text, exc_info=error)
    else:
        sys.stderr.write(f"{text}\n{''.join(traceback.format_exception(error))}")
