"""How much a worker has done, and when that is enough. Used by its main thread."""

import sys
from pathlib import Path

from django_q.cluster.scoreboard import Slot
from django_q.conf import Conf, logger

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

_STATM = Path("/proc/self/statm")


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
    """Give the resident memory of this process in KiB; its peak without /proc, or 0."""
    try:
        return int(_STATM.read_text().split()[1]) * resource.getpagesize() // 1024
    except OSError:
        if sys.platform == "win32":
            return 0
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak // 1024 if sys.platform == "darwin" else peak
