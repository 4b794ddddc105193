"""Looks into pickles without running any code of theirs, for pages that list many of them.

Names that a pickle wants to import become stand-ins, but for a few plain kinds of values. The
interpreter in Python is used on purpose: the one in C reserves memory as a pickle tells it to.
"""

import io
import pickle
import reprlib
import zlib
from base64 import b64decode
from typing import Any

from django.core.signing import b64_decode

#: Characters of a stored text that are looked at; a list shows a hundred of them.
LONGEST = 64 * 1024
#: Bytes that a compressed package may grow to before it is too large to look at.
_LARGEST = 4 * LONGEST

_PLAIN = {
    "builtins": ("bytearray", "complex", "frozenset", "set"),
    "collections": ("OrderedDict",),
    "datetime": ("date", "datetime", "time", "timedelta", "timezone"),
    "decimal": ("Decimal",),
    "uuid": ("SafeUUID", "UUID"),
    "zoneinfo": ("ZoneInfo._unpickle",),
}


class _StandInType(type):
    def __repr__(cls) -> str:
        return f"<{cls.__module__}.{cls.__qualname__}>"


class _StandIn(metaclass=_StandInType):
    """What a pickle gets instead of a class or function; takes everything, does nothing."""

    def __new__(cls, *args: Any, **kwargs: Any) -> "_StandIn":
        return object.__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> "_StandIn":
        return self

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        pass

    def extend(self, values: Any) -> None:
        pass

    def add(self, value: Any) -> None:
        pass

    def __repr__(self) -> str:
        return repr(type(self))


class _Onlooker(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name in _PLAIN.get(module, ()):
            return super().find_class(module, name)
        return _StandInType(name, (_StandIn,), {"__module__": module, "__qualname__": name})


def look(data: bytes) -> Any:
    """Load a pickle with stand-ins for all that would be imported. Raises whatever is wrong."""
    return _Onlooker(io.BytesIO(data)).load()


def look_into_package(payload: str) -> dict[str, Any]:
    """Give the keys of a sealed package, its signature unchecked; {} if they cannot be seen."""
    try:
        head, _, encoded = payload.partition(":")[0].rpartition(".")
        data = b64_decode(encoded.encode())
        # "~pz" begins our compressed format, "." Django's; see signing.
        package = look(_expand(data) if head == "~pz" or payload[:1] == "." else data)
    except Exception:  # whatever a damaged package leads to
        return {}
    return package if isinstance(package, dict) else {}


def look_into_column(text: str | None) -> Any:
    """Give the value of a stored column of pickles; None if it cannot be seen."""
    try:
        return look(b64decode(text)) if text and len(text) <= LONGEST else None
    except Exception:  # whatever a damaged pickle leads to
        return None


def show(value: Any, longest: int = 20_000) -> str:
    """Give a text of limited length for any value, a broken `repr` or an endless list included."""
    if isinstance(value, str):
        text = value
    else:
        try:
            text = _REPR.repr(value)
        except Exception as error:  # the value's own code
            return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _expand(data: bytes) -> bytes:
    decompressor = zlib.decompressobj()
    expanded = decompressor.decompress(data, _LARGEST)
    if decompressor.unconsumed_tail:
        raise ValueError("too large to look at")
    return expanded


_REPR = reprlib.Repr()
_REPR.maxlevel = 5
_REPR.maxtuple = _REPR.maxlist = _REPR.maxdict = _REPR.maxset = _REPR.maxfrozenset = 50
_REPR.maxarray = _REPR.maxdeque = 50
_REPR.maxstring = _REPR.maxother = 2000
_REPR.maxlong = 200
