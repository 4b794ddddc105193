"""What became of a package before: looked up from its second delivery on. Used by the main thread.

The books may be away: then the package waits, for as long as it may.
"""

import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from django.utils import timezone

from django_q.brokers import Lease
from django_q.cluster.backoff import Backoff
from django_q.cluster.clerk import Clerk
from django_q.conf import Conf, logger
from django_q.exceptions import ResultsUnavailable
from django_q.followers import again, needs_result, what_follows
from django_q.iterations import is_part
from django_q.package import FailureCause, Follower, Outcome, TaskPackage
from django_q.recorder import Stores
from django_q.results import attempts, gatherings, ledger
from django_q.results.attempts import Ending
from django_q.results.cancellations import TEXT
from django_q.results.ledger import History

_Given = TypeVar("_Given")

#: Longest time a word to stop goes unheard while the books do not answer.
_SHORT_PAUSE = 0.05
#: Longest time a package waits for the books in one worker the first time, and how often that
#: doubles: to half an hour.
_LONGEST_WAIT, _MOST_DOUBLINGS = 30.0, 6
#: Seconds for which it is held back then, so that another worker has it next.
_PAUSE = 1.0


class Verdict(NamedTuple):
    """Why a package is not run again but fails."""

    text: str
    cause: FailureCause


class Past:
    """Asks ledger and results. All raise ResultsUnavailable when the package must not wait."""

    def __init__(
        self,
        stores: Stores,
        may_start: Callable[[Lease], bool],
        clerk: Clerk,
        pause: Callable[[float], None],
    ) -> None:
        self._stores = stores
        self._may_start = may_start
        self._counts_lapses = clerk.counts_lapses
        self._tracker = clerk.tracker
        #: Lets some seconds pass, with what its thread has to do meanwhile.
        self._pause = pause

    def history(self, lease: Lease) -> History:
        """Give what the ledger knows of a package."""
        return self.ask(lease, lambda: ledger.history(lease.key))

    def ending(self, lease: Lease, package: TaskPackage) -> Outcome | None:
        """Give how this run of the task ended, if it did; with its result where that is needed.

        Runs user code then: unpickles the result.
        """
        task_id, number = package["id"], package.get("attempt", 1)
        found = self._ending(lease, task_id, number)
        if found is None and self._is_kept_part(lease, package):
            found = Ending(success=True)
        if found is None:
            return None
        now = timezone.now()
        outcome = Outcome(package, found.success, None, now - found.took, now)
        if found.again_at is not None and not found.success:
            left = (found.again_at - now).total_seconds()
            return outcome._replace(again_in=max(0.0, left))
        if needs_result(package):
            return self.ask(lease, lambda: attempts.last_outcome(outcome))
        return outcome

    def followers(self, lease: Lease, ended: Outcome) -> tuple[Follower, ...]:
        """Give what follows a run that is in the books, to be sent: it may have been cut off.

        Mostly it was sent, too. What has ended is sent at once: who gets it goes on from there.
        What has not comes late, or a chain would run twice from here to its end.
        """
        task_id, number = ended.package["id"], ended.package.get("attempt", 1)
        found: list[Follower] = []
        for follower in what_follows(ended, lease.payload):
            attempt = number + 1 if follower.task_id == task_id else 1
            if self._ending(lease, follower.task_id, attempt) is None:
                found += again((follower,), ended.stopped - ended.started)
            else:
                found.append(follower)
        return tuple(found)

    def _ending(self, lease: Lease, task_id: str, number: int) -> Ending | None:
        return self.ask(lease, lambda: self._stores.database.ending(task_id, number))

    def _is_kept_part(self, lease: Lease, package: TaskPackage) -> bool:
        """Tell whether a part without a row is done; not where what follows needs its result."""
        place = package.get("gather")
        if not place or not is_part(package) or needs_result(package):
            return False
        return self.ask(lease, lambda: gatherings.has_part(place[0], place[1]))

    def verdict(self, lease: Lease, package: TaskPackage, past: History) -> Verdict | None:
        """Say why a package is not to be run again; None when it is."""
        if package["id"] in self._tracker.wishes:
            return Verdict(TEXT, FailureCause.CANCELLED)
        if lease.deliveries == 1 and past.verdict is None and not past.deaths:
            return None  # mostly: nothing has happened to it yet
        if past.verdict is not None:
            cause = FailureCause.CANCELLED if past.is_cancelled else FailureCause.TIMEOUT
            return Verdict(past.verdict, cause)
        if past.deaths >= Conf.MAX_DEATHS:
            text = f"The task ended its worker {past.deaths} times; the last time {past.reason}"
            return Verdict(text, FailureCause.DIED)
        lost = ledger.lapses(lease.deliveries, past) if self._counts_lapses else 0
        if lost > Conf.MAX_LOST:
            # A run that failed, and comes back by the project's wish, was not lost.
            lost -= self.ask(lease, lambda: self._stores.attempts(package["id"]))
        if lost > Conf.MAX_LOST:
            return Verdict(lost_text(package, lost), FailureCause.LOST)
        return None

    def ask(self, lease: Lease, question: Callable[[], _Given]) -> _Given:
        """Ask the books, until they answer; or until others should try.

        It may be this process alone that cannot reach them, without a free file for instance.
        """
        backoff, end = Backoff(), time.monotonic() + patience(lease)
        while True:
            try:
                return question()
            except ResultsUnavailable as error:
                pause = backoff.fail()
                text = "A package [%s] waits: %s Next try in %.1f s."
                logger.log(backoff.level, text, lease.id, error, pause)
                while backoff.is_waiting:
                    if not self._may_start(lease):
                        raise
                    if lease.receipt is not None and time.monotonic() > end:
                        lease.pause = _PAUSE
                        raise
                    self._pause(min(_SHORT_PAUSE, backoff.left))


def patience(lease: Lease) -> float:
    """Give the seconds for which a package may wait here for the books.

    Longer where it has gone round already: some brokers count that, and drop at some number what
    comes again and again.
    """
    rounds = min(max(0, lease.deliveries - 2), _MOST_DOUBLINGS)
    return float(min(Conf.RETRY / 2, _LONGEST_WAIT) * 2**rounds)


def lost_text(package: TaskPackage, lost: int) -> str:
    """Give the failure of a task none of whose runs was heard of again."""
    if package.get("atomic"):
        return (
            f"{lost} runs of this task were not committed: its lease was lost, its machine went "
            "away, or the database ended the transaction. The log of the workers tells which."
        )
    return f"The lease of this task was lost {lost} times: its machine went away each time."
