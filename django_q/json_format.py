"""Values as JSON and back, with the types that JSON has no words for. Runs no code of the data.

What JSON has stands as itself. All else is an object with one key, `!` and the name of its type:
`{"!tuple": [1, 2]}`, `{"!datetime": "2026-11-28T14:00:00+00:00"}`. A function is its dotted path,
and comes back as that text. A dict with other keys than text, or with such a key, is
`{"!dict": [[key, value], ...]}`. A moment keeps its offset from UTC, and no other name of its zone.
Where nothing is to change, `strict` refuses functions, and moments that would lose their zone.
"""

import base64
import datetime
import decimal
import json
import math
import types
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from django_q.exceptions import FailedResult

#: Levels of lists and dicts in each other; more would end the recursion of any JSON reader.
_DEEPEST = 100

_Plain = Callable[[Any, int, bool], Any]


def dumps(value: Any, *, strict: bool = False) -> bytes:
    """Give a value as JSON; with `strict` only one that `loads` gives back as it was.

    Raises TypeError for what has no form in it, ValueError for what is nested too deeply.
    """
    return json.dumps(_plain(value, 0, strict), separators=(",", ":"), allow_nan=False).encode()


def loads(data: bytes) -> Any:
    """Give the value of JSON that `dumps` made. Raises ValueError for any other."""
    try:
        return json.loads(data, object_pairs_hook=_from_object, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("The JSON is nested too deeply.") from error


def _plain(value: Any, depth: int, strict: bool) -> Any:
    if depth > _DEEPEST:
        raise ValueError(f"it is nested more than {_DEEPEST} levels deep")
    # Subclasses would come back as something else.
    kind = type(value)
    if kind is float and not math.isfinite(value):
        return {"!float": repr(value)}
    if value is None or kind in (bool, int, float, str):
        return value
    if kind is list:
        return [_plain(each, depth + 1, strict) for each in value]
    if kind is dict:
        return _plain_dict(value, depth, strict)
    if kind in _WRITERS:
        name, write = _WRITERS[kind]
        return {f"!{name}": write(value, depth, strict)}
    path = _path_of(value)
    if strict:
        raise TypeError(f"{path}, a function or class, has no form in JSON but its name")
    return {"!func": path}


def _plain_dict(value: dict[Any, Any], depth: int, strict: bool) -> Any:
    if all(type(key) is str and not key.startswith("!") for key in value):
        return {key: _plain(each, depth + 1, strict) for key, each in value.items()}
    pairs = [
        [_plain(key, depth + 1, strict), _plain(each, depth + 1, strict)]
        for key, each in value.items()
    ]
    return {"!dict": pairs}


def _path_of(value: Any) -> str:
    """Give the dotted path of a function or class of a module."""
    path, module = getattr(value, "__qualname__", ""), getattr(value, "__module__", "")
    # A bound method is more than its path: the object would be left behind.
    owner = getattr(value, "__self__", None)
    if owner is not None and not isinstance(owner, types.ModuleType):
        path = ""
    if not callable(value) or not path or not module or "<" in path:
        raise TypeError(
            f"a {type(value).__module__}.{type(value).__qualname__} has no form in JSON"
        )
    return f"{module}.{path}"


def _elements(value: Any, depth: int, strict: bool) -> list[Any]:
    return [_plain(each, depth + 1, strict) for each in value]


def _isoformat(value: Any, depth: int, strict: bool) -> str:
    return str(value.isoformat())


def _moment(value: Any, depth: int, strict: bool) -> str:
    if strict and (value.fold or not _is_offset(value.tzinfo)):
        raise TypeError(f"the time zone of {value!r} has no form in JSON but its offset")
    return str(value.isoformat())


def _is_offset(zone: datetime.tzinfo | None) -> bool:
    """Tell whether a zone is none, or an offset from UTC without another name."""
    if zone is None or zone is datetime.UTC:
        return True
    return type(zone) is datetime.timezone and (
        str(zone) == str(datetime.timezone(zone.utcoffset(None)))
    )


_WRITERS: Mapping[type, tuple[str, _Plain]] = {
    tuple: ("tuple", _elements),
    set: ("set", _elements),
    frozenset: ("frozenset", _elements),
    bytes: ("bytes", lambda value, depth, strict: base64.b64encode(value).decode()),
    datetime.datetime: ("datetime", _moment),
    datetime.date: ("date", _isoformat),
    datetime.time: ("time", _moment),
    datetime.timedelta: (
        "timedelta",
        lambda value, depth, strict: [value.days, value.seconds, value.microseconds],
    ),
    decimal.Decimal: ("decimal", lambda value, depth, strict: str(value)),
    uuid.UUID: ("uuid", lambda value, depth, strict: value.hex),
    FailedResult: ("failed", lambda value, depth, strict: str(value)),
}
_READERS: Mapping[str, Callable[[Any], Any]] = {
    "!tuple": tuple,
    "!set": set,
    "!frozenset": frozenset,
    "!bytes": lambda text: base64.b64decode(text, validate=True),
    "!datetime": datetime.datetime.fromisoformat,
    "!date": datetime.date.fromisoformat,
    "!time": datetime.time.fromisoformat,
    "!timedelta": lambda parts: datetime.timedelta(*parts),
    "!decimal": decimal.Decimal,
    "!uuid": uuid.UUID,
    "!failed": FailedResult,
    "!float": float,
    "!func": str,
    "!dict": lambda pairs: {key: value for key, value in pairs},
}


def _from_object(pairs: list[tuple[str, Any]]) -> Any:
    if len(pairs) != 1 or not pairs[0][0].startswith("!"):
        return dict(pairs)
    name, value = pairs[0]
    if name not in _READERS:
        raise ValueError(f"The JSON has a value of the unknown type {name!r:.40}.")
    try:
        return _READERS[name](value)
    except (TypeError, ArithmeticError, ValueError) as error:
        raise ValueError(f"The JSON has no {name[1:]} in {value!r:.100}: {error}") from error


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no JSON.")
