"""Iterations: the parts they fall into, and the task that collects their results.

Used by the producer (`async_iter`), and where the outcome of a part is made ready for the books.
Parts that a producer of django-q2 sent are understood too: there each has the number of all parts
(`iter_count`), and the id of the iteration as its group.
"""

from typing import Any

from django_q.conf import Conf
from django_q.package import TaskPackage, build_package, function_path
from django_q.results.base import Row
from django_q.results.gatherings import Opening, Part
from django_q.sealed import seal_package

_GATHER = "django_q.results.gatherings.gather"
#: Places of the parts are numbers of 31 bits, which every database takes.
_PLACES = 2**31


def collector(iteration: str, func: Any, options: dict[str, Any]) -> TaskPackage:
    """Make the package of the task that collects; its id is the iteration's."""
    package = build_package(_GATHER, (iteration,), {}, options)
    package["id"] = iteration
    package["derived"] = True
    package["shown_as"] = function_path(func)
    return package


def is_part(package: TaskPackage) -> bool:
    """Tell whether a task is a part whose result is kept with those of the others only."""
    if "gather" in package and package["gather"] and not package.get("has_row"):
        return True
    return "iter_count" in package and _is_foreign(package)


def part_of(package: TaskPackage, row: Row) -> Part | None:
    """Give what a task leaves for the one that collects; None if it is no part."""
    place = package.get("gather")
    if place:
        return Part(place[0], place[1], row.success, row.result)
    if not _is_foreign(package):
        return None
    iteration = package["group"]
    # Elements are sent one after another, so the microsecond tells them apart and gives an order.
    position = int(package["started"].timestamp() * 1_000_000) % _PLACES
    return Part(iteration, position, row.success, row.result, _opening(package))


def _is_foreign(package: TaskPackage) -> bool:
    count = package.get("iter_count")
    return isinstance(count, int) and count > 0 and isinstance(package.get("group"), str)


def _opening(package: TaskPackage) -> Opening:
    """Make what the producer would have kept: each part brings it, the first one's is taken."""
    iteration = package["group"]
    inherited: dict[str, Any] = {"task_name": package["name"]}
    if package.get("iter_cached"):
        inherited["cached"] = package["iter_cached"]
    queue = package.get("cluster") or Conf.CLUSTER_NAME
    follower = collector(iteration, package["func"], inherited)
    return Opening(package["iter_count"], queue, seal_package(follower, queue))
