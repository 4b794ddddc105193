"""What keeps tasks from each other, as options: `unique`, `concurrency_key`, `rate_limit` and kin.

Checks and readings only; `results.keys`, `results.permits` and `results.paces` keep the books.
"""

import hashlib
import io
import pickle
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from django_q.exceptions import PackageError

#: The options that are dealt with here.
LIMIT_OPTIONS = (
    "unique",
    "unique_until",
    "unique_else",
    "concurrency_key",
    "concurrency_limit",
    "rate_limit",
    "rate_key",
)
#: The same as a set: most tasks have none of them, and one look tells.
LIMITS = frozenset(LIMIT_OPTIONS)
#: Seconds for which a key is taken when its task never ends, or never starts: more than any queue
#: should be behind.
LONGEST_HELD = 7 * 86_400.0
#: Width of the columns; longer keys are kept as their digest.
_LONGEST_KEY = 100
_UNTIL = ("started", "done")
_ELSE = ("skip", "replace", "raise")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_RATE = re.compile(r"(\d+)/(\d+(?:\.\d+)?)?\s*([smhd])")


class Rate(NamedTuple):
    """So many starts in so many seconds."""

    starts: int
    period: float

    @property
    def interval(self) -> float:
        """Seconds from one start to the next."""
        return self.period / self.starts


def check_limits(package: Mapping[str, Any]) -> None:
    """Raise PackageError for the first of these options that means nothing."""
    if LIMITS.isdisjoint(package):
        return
    for key in ("unique", "concurrency_key", "rate_key"):
        _check_key(key, package.get(key))
    for key, choices in (("unique_until", _UNTIL), ("unique_else", _ELSE)):
        value = package.get(key)
        is_time = key == "unique_until" and _is_time(value)
        if value is not None and value not in choices and not is_time:
            others = ", or seconds" if key == "unique_until" else ""
            raise PackageError(f"{key} is {value!r:.100}: give one of {choices}{others}.")
    _check_companions(package)
    limit = package.get("concurrency_limit", 1)
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise PackageError(f"concurrency_limit is {limit!r:.100}: give a whole number from 1 on.")
    if package.get("rate_limit") is not None:
        read_rate(package["rate_limit"])
    if package.get("unique") and ("chain" in package or "gather" in package):
        raise PackageError("A link of a chain or a part of an iteration cannot be unique.")


def read_rate(value: Any) -> Rate:
    """Read "10/m", "5/30s" or a pair (starts, seconds). Raises PackageError."""
    if isinstance(value, str) and (found := _RATE.fullmatch(value.strip())):
        starts, times, unit = found.groups()
        rate = Rate(int(starts), float(times or 1) * _UNITS[unit])
    elif isinstance(value, (tuple, list)) and len(value) == 2 and isinstance(value[0], int):
        rate = Rate(value[0], float(value[1]) if _is_time(value[1]) else 0.0)
    else:
        rate = Rate(0, 0.0)
    if rate.starts < 1 or not 0 < rate.period <= LONGEST_HELD:
        raise PackageError(
            f'rate_limit is {value!r:.100}: give starts and time, such as "10/m", "5/30s" or '
            f"(10, 60.0), of at most {LONGEST_HELD / 86_400:.0f} days."
        )
    return rate


def unique_key(package: Mapping[str, Any], path: str) -> str:
    """Give the key that a unique task takes: its own, or one of function (`path`) and arguments."""
    key = package["unique"]
    if key is True:
        call = (path, package["args"], sorted(package["kwargs"].items()))
        key = f"{path[-60:]} {hashlib.sha256(_pickled(call)).hexdigest()[:32]}"
    return short_key(key)


def pickled_alike(value: Any) -> bytes:
    """Give bytes that are the same for equal values in all processes. Raises what pickling does."""
    return _Ordered.dumps(value)


def _pickled(call: Any) -> bytes:
    try:
        return pickled_alike(call)
    except Exception as error:  # code of the arguments
        raise PackageError(
            f"unique is True, but the arguments cannot be pickled: {error}"
        ) from error


class _Ordered(pickle.Pickler):
    """Pickles equal values alike: whichever objects these are, and in all processes.

    The order of a set depends on hashes, which each process has its own of, and that of a dict is
    no part of its value: what they hold is put in the order of its own pickles.
    """

    @classmethod
    def dumps(cls, value: Any) -> bytes:
        """Give a pickle that is only compared; it cannot be loaded."""
        written = io.BytesIO()
        pickler = cls(written, 5)
        pickler.fast = True
        pickler.dump(value)
        return written.getvalue()

    def persistent_id(self, value: Any) -> Any:
        """Give what is pickled in the place of a value; None: the value itself."""
        if isinstance(value, (set, frozenset)):
            return type(value), sorted(map(self.dumps, value))
        if type(value) is dict:
            return dict, sorted((self.dumps(key), self.dumps(value[key])) for key in value)
        return None


def short_key(key: str) -> str:
    """Give a key as its column takes it."""
    if len(key) <= _LONGEST_KEY:
        return key
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _check_companions(package: Mapping[str, Any]) -> None:
    """An option that does nothing without another one is a mistake."""
    for key, needed in (
        ("unique_until", "unique"),
        ("unique_else", "unique"),
        ("concurrency_limit", "concurrency_key"),
        ("rate_key", "rate_limit"),
    ):
        if package.get(key) is not None and not package.get(needed):
            raise PackageError(f"{key} does nothing without {needed}: give both, or none.")


def _check_key(name: str, value: Any) -> None:
    if value is None or (name == "unique" and value is True):
        return
    is_text = isinstance(value, str) and value.encode("utf-8", "ignore").decode() == value
    if not is_text or not value or "\0" in value:
        others = ", or True for one of function and arguments" if name == "unique" else ""
        raise PackageError(f"{name} is {value!r:.100}: give a text{others}.")


def _is_time(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and 0 < value <= LONGEST_HELD
