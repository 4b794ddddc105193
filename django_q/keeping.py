"""Where the result of a run is kept: in the database, in the cache, or nowhere."""

from typing import NamedTuple

from django_q.conf import Conf
from django_q.iterations import is_part
from django_q.package import Outcome, TaskPackage
from django_q.results.cache import seconds_to_keep


class Place(NamedTuple):
    """Where one result is kept."""

    in_database: bool
    #: For so many seconds; None for ever, False not at all.
    in_cache: float | bool | None
    #: Somebody keeps arguments and result: as a row, or as a part of a gathering.
    has_values: bool


_IN_DATABASE = Place(True, False, True)


def place_of(outcome: Outcome) -> Place:
    """Tell where the result of an outcome is to be kept."""
    package, success = outcome.package, outcome.success
    is_a_part = is_part(package)
    # A project without a cache keeps everything in the database, where parts are kept as well.
    cached = package.get("cached", Conf.CACHED) if Conf.CACHE and not is_a_part else False
    if cached:
        return Place(False, seconds_to_keep(cached), True)
    in_database = not success or _is_kept(package, is_a_part)
    if in_database:
        return _IN_DATABASE
    return Place(False, False, "gather" in package or is_a_part)


def _is_kept(package: TaskPackage, is_a_part: bool) -> bool:
    """Tell whether a success has a row; failures always have."""
    kept = package.get("save")
    if kept is None:
        return not is_a_part and bool(Conf.SAVE_LIMIT >= 0)
    return bool(kept)
