"""What comes after a task: the next link of its chain. Runs where the outcome was made.

A follower's id is derived from its parent's, so that one that was sent twice is the same task.
"""

from typing import Any

from django_q import signals
from django_q.conf import Conf, logger
from django_q.executor import send_signal
from django_q.package import (
    Follower,
    Outcome,
    TaskPackage,
    build_package,
    derived_id,
    open_package,
    seal_package,
)

#: Options of a link that the next one has too.
_INHERITED = ("group", "cached", "cluster", "sync", "save", "chain_goes_on")


def follower_of(package: TaskPackage, queue: str, delay: float = 0.0) -> Follower:
    """Seal a package that a worker has opened, to be sent (again) after `delay` seconds."""
    bare: Any = {key: value for key, value in package.items() if key != "ack_id"}
    priority = int(bare.get("priority") or 0)
    return Follower(queue, seal_package(bare, queue), delay, priority, bare["id"])


def next_attempt(outcome: Outcome, payload: str) -> Follower:
    """Give the next run of a failed task, sealed: as the package came, its attempt counted up.

    It is opened once more, since the task may have changed its arguments.
    """
    queue = outcome.package["cluster"]
    package = open_package(payload, queue)
    package |= {"attempt": package.get("attempt", 1) + 1, "derived": True}
    return follower_of(package, queue, outcome.again_in or 0.0)


def needs_result(package: TaskPackage) -> bool:
    """Tell whether what follows a task is called with its result."""
    return False


def followers(outcome: Outcome) -> tuple[Follower, ...]:
    """Give the packages that follow an outcome, sealed."""
    package = next_link(outcome)
    if package is None:
        return ()
    queue = package.get("cluster") or Conf.CLUSTER_NAME
    return (Follower(queue, seal_package(package, queue), task_id=package["id"]),)


def next_link(outcome: Outcome) -> TaskPackage | None:
    """Give the next link of an outcome's chain; None at its end, and where a failure ends it."""
    package = outcome.package
    chain = package.get("chain")
    if not chain:
        return None
    if not outcome.success and not package.get("chain_goes_on"):
        logger.warning(
            "The chain %s ends after the failure of %s [%s]: %d links do not run",
            package.get("group"), package["name"], package["id"], len(chain),
        )  # fmt: skip
        return None
    return first_link(chain, package, derived_id(package["id"], "chain"))


def first_link(chain: list[Any], options: Any, task_id: str | None = None) -> TaskPackage:
    """Make the package of a chain's first element, with the rest of the chain in it.

    An element is a function, or a tuple of function, arguments and keywords.
    """
    func, args, kwargs = link_parts(chain[0])
    kwargs = dict(kwargs)
    inherited = {key: options[key] for key in _INHERITED if options.get(key) is not None}
    inner = kwargs.pop("q_options", None) or {}
    if Conf.LEGACY == "write":  # a cluster of django-q2 asks each link for them
        inherited = {"cached": False, "sync": False} | inherited
    package = build_package(func, args, kwargs, inherited | inner | {"chain": list(chain[1:])})
    if task_id is not None:
        package["id"] = task_id
        package["derived"] = True
    send_signal(signals.pre_enqueue, task=package)
    return package


def link_parts(link: Any) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """Take a link apart: a function alone, or a tuple that may be shorter than three."""
    if not isinstance(link, (tuple, list)):
        return link, (), {}
    func, *rest = link
    args = rest[0] if rest else ()
    kwargs = rest[1] if len(rest) > 1 else {}
    return func, tuple(args) if isinstance(args, (tuple, list)) else (args,), dict(kwargs)
