"""Puts the parts of a child's role together. Runs in the child, after Django is set up."""

import gc
import os
from collections.abc import Callable

from django.db import connections

from django_q.brokers.several import serving_broker
from django_q.cluster.affinity import bind_to_processors
from django_q.cluster.child import Boot
from django_q.cluster.clerk import Clerk
from django_q.cluster.concurrent import ConcurrentWorker
from django_q.cluster.console import configure_logging
from django_q.cluster.housekeeper import Housekeeper
from django_q.cluster.page_cache import keep_small
from django_q.cluster.settlement import Settlement
from django_q.cluster.title import set_title
from django_q.cluster.worker import Worker
from django_q.conf import Conf
from django_q.recorder import make_stores

#: Objects that are made before the garbage collector looks for rings among them. Short tasks leave
#: none, and with Python's 700 it took 3 of their 130 us (measured); those of some kilobytes each
#: would be some megabytes.
_YOUNG = 5000


def make(boot: Boot) -> Callable[[], None]:
    """Make the object of a role; gives the call that runs it to its end."""
    configure_logging()
    # A connection that came through a fork belongs to the parent.
    connections.close_all()
    set_title(f"qcluster {boot.cluster_name} {boot.name}")
    return _make_worker(boot) if boot.role == "worker" else _make_housekeeper(boot)


def _make_worker(boot: Boot) -> Callable[[], None]:
    if Conf.CPU_AFFINITY:
        bind_to_processors(boot.slot - 1, Conf.CPU_AFFINITY, os.getpid())
    _relax_collector()
    slot = boot.board.slot(boot.slot)
    broker, stores = serving_broker(boot.queue), make_stores()
    clerk = Clerk(broker, Settlement(broker, stores), boot.board, slot, boot.life)
    kind = Worker if boot.board.places == 1 else ConcurrentWorker
    return kind(boot.name, slot, clerk, stores).run


def _relax_collector() -> None:
    """Let the garbage collector look less often, unless the project has it look less still."""
    young, *older = gc.get_threshold()
    if 0 < young < _YOUNG:
        gc.set_threshold(_YOUNG, *older)


def _make_housekeeper(boot: Boot) -> Callable[[], None]:
    keep_small()
    broker, stores = serving_broker(boot.queue), make_stores()
    return Housekeeper(boot, broker, Settlement(broker, stores), stores).run
