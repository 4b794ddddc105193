"""What comes after a run: the next attempt, the next link of a chain, and what was asked for.

Runs where the outcome was made. A follower's id is derived from its parent's, so that one that was
sent twice is the same task.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

from django.utils import timezone

from django_q import signals
from django_q.conf import Conf, logger
from django_q.elements import for_callback, for_next_link, member_package
from django_q.exceptions import FailedResult
from django_q.executor import send_signal
from django_q.options import CALLBACKS, FOLLOWED
from django_q.order_options import time_left
from django_q.package import FailureCause, Follower, Outcome, TaskPackage, derived_id
from django_q.results import waiting
from django_q.sealed import open_package, seal_package

#: Keys of packages whose followers are called with the result.
_RESULT_NEEDED = frozenset(("pass_result", *CALLBACKS))
#: Seconds between what was sent and the same once more, at least and at most: time enough for it to
#: wait its turn and run; and should it be lost, not too long without it.
_APART, _FARTHEST = 5.0, 3600.0


def what_follows(outcome: Outcome, payload: str = "") -> tuple[Follower, ...]:
    """Give the packages that follow an outcome, sealed. Runs user code, and raises nothing.

    `payload`: the task's own, for its next attempt. What cannot be packed is logged.
    """
    package = outcome.package
    if outcome.again_in is None and FOLLOWED.isdisjoint(package):
        return ()
    found = []
    for what, make in _makers(outcome, payload):
        try:
            found.append(make())
        except BaseException:  # a link that no producer checked, or whose pickling runs any code
            text = "%s of %s [%s] cannot be packed, so it does not run"
            logger.exception(text, what, package["name"], package["id"])
    return tuple(found)


def again(followers: Iterable[Follower], took: timedelta) -> tuple[Follower, ...]:
    """Let what may have been sent already, and is sent once more, come late.

    By then the first one has ended, and the second is not run. `took`: the time of the run that
    they follow, since what follows a long one may be as long.
    """
    late = min(_APART + 2 * took.total_seconds(), _FARTHEST)
    return tuple(follower._replace(delay=max(follower.delay, late)) for follower in followers)


def needs_result(package: TaskPackage) -> bool:
    """Tell whether what follows a task is called with its result."""
    return not _RESULT_NEEDED.isdisjoint(package)


def _makers(outcome: Outcome, payload: str) -> Iterator[tuple[str, Callable[[], Follower]]]:
    """Give what makes each follower, with words for it."""
    package = outcome.package
    if outcome.again_in is not None:
        yield "The next attempt", lambda: next_attempt(outcome, payload)
        return
    if package.get("chain"):
        if outcome.success or package.get("chain_goes_on"):
            yield "The next link", lambda: _sealed(next_link(outcome))
        else:
            logger.warning(
                "The chain %s ends after the failure of %s [%s]: %d links do not run",
                package.get("group"), package["name"], package["id"], len(package["chain"]),
            )  # fmt: skip
    role = _role(outcome)
    if package.get(role) is not None:
        yield role, lambda: _sealed(callback(outcome, role))


def follower_of(package: TaskPackage, queue: str, delay: float = 0.0) -> Follower:
    """Seal a package that a worker has opened, to be sent (again) after `delay` seconds."""
    bare: Any = {key: value for key, value in package.items() if key != "ack_id"}
    priority = int(bare.get("priority") or 0)
    return Follower(queue, seal_package(bare, queue), delay, priority, bare["id"])


def _sealed(package: TaskPackage) -> Follower:
    queue = package.get("cluster") or Conf.CLUSTER_NAME
    if not package.get("sync", Conf.SYNC):
        waiting.mark(package)
    follower = follower_of(package, queue, time_left(package, timezone.now()))
    row = waiting.row_of(package, queue) if "tracked" in package else ()
    return follower._replace(row=tuple(row))


def next_attempt(outcome: Outcome, payload: str) -> Follower:
    """Give the next run of a failed task, sealed: as the package came, its attempt counted up.

    It is opened once more, since the task may have changed its arguments.
    """
    queue = outcome.package["cluster"]
    package = open_package(payload, queue, at_any_age=True)
    package |= {"attempt": package.get("attempt", 1) + 1, "derived": True}
    package.pop("rate_start", None)  # it has been used
    return follower_of(package, queue, outcome.again_in or 0.0)


def next_link(outcome: Outcome) -> TaskPackage:
    """Make the package of the next link of an outcome's chain."""
    package = outcome.package
    given: tuple[Any, ...] = ()
    if package.get("pass_result"):
        given = (outcome.result if outcome.success else FailedResult(outcome.result),)
    return first_link(package["chain"], package, derived_id(package["id"], "chain"), given)


def first_link(
    chain: list[Any], options: Any, task_id: str | None = None, given: tuple[Any, ...] = ()
) -> TaskPackage:
    """Make the package of a chain's first element, with the rest of the chain in it."""
    inherited = for_next_link(options)
    if Conf.LEGACY == "write":  # a cluster of django-q2 asks each link for them
        inherited = {"cached": False, "sync": False} | inherited
    return element_package(chain[0], inherited, {"chain": list(chain[1:])}, task_id, given)


def callback(outcome: Outcome, role: str) -> TaskPackage:
    """Make the package of what is called with the result, or the error, of a task."""
    package: Any = outcome.package
    task_id = derived_id(package["id"], role)
    return element_package(package[role], for_callback(package), {}, task_id, (outcome.result,))


def _role(outcome: Outcome) -> str:
    if outcome.success:
        return "on_success"
    is_late = outcome.cause == FailureCause.TIMEOUT and outcome.package.get("on_timeout")
    return "on_timeout" if is_late else "on_failure"


def element_package(
    element: Any,
    options: dict[str, Any],
    fixed: dict[str, Any],
    task_id: str | None = None,
    given: tuple[Any, ...] = (),
) -> TaskPackage:
    """Make the package of one task among several: see `member_package`.

    With a `task_id` it follows from another task. Tells the receivers of `pre_enqueue`.
    """
    package = member_package(element, options, fixed, given)
    if task_id is not None:
        package.pop("on_commit", None)  # it is sent after all that has led to it
        package["id"] = task_id
        package["derived"] = True
    send_signal(signals.pre_enqueue, task=package)
    return package
