"""What the log says of an outcome: one line, in the process that ran the task."""

from django_q.conf import logger
from django_q.package import FailureCause, Outcome, function_path
from django_q.retries import log_retry


def log_outcome(outcome: Outcome) -> None:
    """Log how a run ended: as an error, unless it succeeded, was cancelled, or another follows."""
    package = outcome.package
    if outcome.success:
        logger.debug("Processed %s [%s]", package["name"], package["id"])
        return
    if outcome.again_in is not None:
        log_retry(outcome)
        return
    if outcome.cause is FailureCause.CANCELLED:
        logger.info("Cancelled %s [%s]", package["name"], package["id"])
        return
    path = function_path(package["func"])
    reason = str(outcome.result).split("\n", 1)[0].partition(" : Traceback")[0]
    logger.error("Failed %s [%s] (%s): %s", package["name"], package["id"], path, reason)
