"""Tasks that are followed from when they are sent (`track`): their rows come and go with them.

Called by who enqueues, and in the main thread of a worker. What follows a task brings its row with
it (`Follower.row`), which is written with the outcome.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence

from django_q.conf import Conf
from django_q.exceptions import ResultsUnavailable
from django_q.package import Outcome, TaskPackage
from django_q.results import tracking, waiting
from django_q.results.entries import Entry
from django_q.results.waiting import Waiting


@contextlib.contextmanager
def followed(
    packages: Sequence[TaskPackage],
    queue: str,
    keep: Callable[[Sequence[Waiting]], None] = waiting.keep,
) -> Iterator[None]:
    """Make the rows of those packages that are followed, by `keep`; the block sends them.

    When it cannot, the rows go. Raises ResultsUnavailable, with nothing sent.
    """
    ours = [package for package in packages if package.get("tracked")]
    if not ours:
        yield
        return
    keep([waiting.row_of(package, queue) for package in ours])
    try:
        yield
    except BaseException:
        with contextlib.suppress(ResultsUnavailable):
            tracking.forget([package["id"] for package in ours])
        raise


def entries(outcome: Outcome, *, is_known: bool, is_done: bool) -> tuple[Entry, ...]:
    """Give what is written with the end of a run: its row goes, or waits for the next run.

    Of a task that is not followed a clerk may have made a row, or another worker's when the task
    was delivered before.
    """
    package = outcome.package
    if not (is_known or "tracked" in package or "attempt" in package):
        return ()
    task_id = package["id"]
    if outcome.again_in is not None:
        return (Entry("reschedule", (task_id, outcome.again_in, package.get("attempt", 1) + 1)),)
    if not is_done:
        return (Entry("reschedule", (task_id, float(Conf.RETRY), None)),)
    return (Entry("untrack", (task_id,)),)


def last_entries(ended: Outcome) -> tuple[Entry, ...]:
    """Give what is written where a task comes whose end is in the books: its row goes.

    It may have been made after that end, by who sent the task a second time.
    """
    is_over = ended.again_in is None and "tracked" in ended.package
    return (Entry("untrack", (ended.package["id"],)),) if is_over else ()
