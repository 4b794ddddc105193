"""Decides after a failure whether, and when, its task is run again; tells the log of it.

Runs in a worker's main thread, since the decision may be code of the project: see `policy`.
"""

from django_q import policy
from django_q.conf import logger
from django_q.exceptions import Retry, TimeoutException
from django_q.package import FailureCause, Outcome

#: Failures that another run may cure. Deaths and lost leases have limits of their own.
_CURABLE = (FailureCause.ERROR, FailureCause.TIMEOUT)


def decide(outcome: Outcome) -> Outcome:
    """Give a failed outcome with the time until its task is run again, if it is. Raises nothing."""
    if outcome.cause not in _CURABLE:
        return outcome
    package, error = outcome.package, error_of(outcome)
    try:
        attempt = int(package.get("attempt", 1))
        if attempt >= policy.run_limit(package, is_asked=isinstance(error, Retry)):
            return outcome
        if not policy.is_retriable(package, error):
            return outcome
        again_in = policy.asked_delay(error)
    except BaseException:  # classes of the project, found by their paths
        text = "Whether %s [%s] is to be retried cannot be told, so its failure is final"
        logger.exception(text, package["name"], package["id"])
        return outcome
    if again_in is None:
        again_in = _delay(outcome, attempt, error)
    return outcome._replace(again_in=again_in)


def _delay(outcome: Outcome, attempt: int, error: BaseException) -> float:
    package = outcome.package
    try:
        return policy.delay_after(package, attempt, error)
    except BaseException:  # a function of the project, or a setting that is no number
        text = "The delay before the next attempt of %s [%s] cannot be told: retry_delay is taken"
        logger.exception(text, package["name"], package["id"])
        return policy.plain_delay(package)


def error_of(outcome: Outcome) -> BaseException:
    """Give what a failed run raised; of one that was killed at its hard limit, what that means."""
    return outcome.error or TimeoutException(outcome.result)


def log_retry(outcome: Outcome) -> None:
    """Log that a task is run again, in one line."""
    package, error = outcome.package, error_of(outcome)
    is_asked = isinstance(error, Retry)
    # The first line of what results would say: the error's own text may be code that raises.
    reason = str(outcome.result).split("\n", 1)[0].partition(" : Traceback")[0]
    logger.info(
        "Retry %d/%d of %s [%s] in %.1f s: %s",
        int(package.get("attempt", 1)) + 1,
        policy.run_limit(package, is_asked=is_asked),
        package["name"],
        package["id"],
        outcome.again_in,
        reason if is_asked else f"{type(error).__name__}: {reason}",
    )
