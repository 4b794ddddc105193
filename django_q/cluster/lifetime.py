"""How much a worker has done, and when that is enough. Used by its main thread."""

import resource
from pathlib import Path

from django_q.cluster.scoreboard import Slot
from django_q.conf import Conf, logger

_STATM = Path("/proc/self/statm")
_PAGE_KIB = resource.getpagesize() // 1024


class Lifetime:
    """Counts tasks and memory against `recycle` and `max_rss`."""

    def __init__(self, name: str, slot: Slot) -> None:
        self._name = name
        self._slot = slot
        self._done = 0

    def count(self) -> None:
        """Count a task that has ended."""
        self._done += 1
        self._slot.set("done", self._done)

    def is_over(self) -> bool:
        """Tell whether the worker is to be replaced, and say why."""
        if self._done >= Conf.RECYCLE:
            logger.info("%s is replaced after %d tasks", self._name, self._done)
            return True
        if Conf.MAX_RSS is None:
            return False
        rss = resident_kib()
        self._slot.set("rss", rss)
        if rss > Conf.MAX_RSS:
            logger.info("%s is replaced: it uses %d KiB", self._name, rss)
            return True
        return False


def resident_kib() -> int:
    """Give the resident memory of this process in KiB; its peak where /proc is missing."""
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE_KIB
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
