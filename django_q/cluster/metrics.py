"""The metrics of workers that ended, for projects that use prometheus_client.

With several processes it keeps files for each; those of what a live process shows must go with it.
"""

import os

from django_q.conf import logger
from django_q.signposts import signposts

#: Where prometheus_client keeps its files; only then it works with several processes.
_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"


def forget_process(pid: int) -> None:
    """Tell prometheus_client that a process has ended. Called by the housekeeper; idempotent."""
    if not os.environ.get(_DIRECTORY):
        return
    multiprocess = signposts("django_q.conf")("prometheus_multiprocess")
    if multiprocess is None:
        return
    try:
        multiprocess.mark_process_dead(pid)
    except OSError as error:
        logger.warning("The metrics of process %d cannot be removed: %s", pid, error)
