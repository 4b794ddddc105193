"""Where a cluster's log goes when the project says nothing: standard error, one line an event."""

import logging

from django_q.conf import Conf, logger


def configure_logging() -> None:
    """Give the logger `django-q` a handler where the project gave it none.

    For commands, and for the children of a cluster, which may not have been forked.
    """
    if logger.hasHandlers():
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s [Q] %(levelname)s %(message)s", "%H:%M:%S"))
    logger.addHandler(handler)
    logger.setLevel(Conf.LOG_LEVEL)
    logger.propagate = False
