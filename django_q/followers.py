"""What comes after a task: the next link of its chain. Runs where the outcome was made.

A follower's id is derived from its parent's, so that one that was sent twice is the same task.
"""

from typing import Any

from django_q import signals
from django_q.conf import Conf, logger
from django_q.executor import send_signal
from django_q.options import take_options
from django_q.package import (
    Outcome,
    TaskPackage,
    build_package,
    derived_id,
    seal_package,
)

#: Options of a link that the next one has too.
_INHERITED = ("group", "cached", "cluster", "sync", "chain_goes_on")


def followers(outcome: Outcome) -> tuple[tuple[str, str], ...]:
    """Give the packages that follow an outcome, sealed: pairs of queue and text."""
    package = next_link(outcome)
    if package is None:
        return ()
    queue = package.get("cluster") or Conf.CLUSTER_NAME
    return ((queue, seal_package(package, queue)),)


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

    An element is a function, or a tuple of function, arguments and keywords. Its keywords may be
    options, as those of `async_task`.
    """
    func, args, kwargs = link_parts(chain[0])
    inherited = {key: options[key] for key in _INHERITED if options.get(key) is not None}
    if Conf.LEGACY == "write":  # a cluster of django-q2 asks each link for them
        inherited = {"cached": False, "sync": False} | inherited
    own = take_options(kwargs, inherited)
    own.pop("broker", None)  # a link goes where its chain goes
    package = build_package(func, args, kwargs, own | {"chain": list(chain[1:])})
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
