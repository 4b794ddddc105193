"""Looks into pickles without running any code of theirs, for the pages of the admin.

Names that a pickle wants to import become stand-ins, but for a few plain kinds of values. The
interpreter in Python is used on purpose: the one in C reserves memory as a pickle tells it to.
"""

import io
import pickle
import struct
import zlib
from collections.abc import Iterable
from typing import Any, ClassVar

from django_q import json_format
from django_q.exceptions import UnreadableValue
from django_q.signing import unchecked
from django_q.stored import contents

#: Characters of a stored text that a list looks at, of which it shows a hundred; a page of one row
#: looks at more.
LONGEST = 64 * 1024
LONGEST_ALONE = 256 * 1024
#: Bytes that a compressed package may grow to before it is too large to look at.
_LARGEST = 4 * LONGEST

_PLAIN = {
    "builtins": ("complex", "frozenset", "set"),
    "collections": ("OrderedDict",),
    "datetime": ("date", "datetime", "time", "timedelta", "timezone"),
    "decimal": ("Decimal",),
    "uuid": ("SafeUUID", "UUID"),
    "zoneinfo": ("ZoneInfo._unpickle",),
}
#: What the arguments of a schedule are in the package of its task: a part of a pickle.
_PART = ("django_q.schedule_arguments", "open_part")
#: Its positional and keyword arguments and its chain; each takes the time of a pickle.
_MOST_PARTS = 3
#: Django pickles the instances of models as a call of this.
_MODEL = ("django.db.models.base", "model_unpickle")


class _StandInType(type):
    def __repr__(cls) -> str:
        return f"<{cls.__module__}.{cls.__qualname__}>"


class StandIn(metaclass=_StandInType):
    """What a pickle gets instead of a class or function; takes everything, does nothing."""

    def __new__(cls, *args: Any, **kwargs: Any) -> "StandIn":
        """Keep the arguments, to be shown."""
        self = object.__new__(cls)
        vars(self).update(args=args, kwargs=kwargs, state={}, elements=[])
        return self

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> "StandIn":
        """Stand for what a call would give."""
        return self

    def __setstate__(self, state: Any) -> None:
        # With slots it is a pair; the dict may be either, or missing.
        states = state if isinstance(state, tuple) and len(state) == 2 else (state,)
        for each in states:
            if each is not None:
                vars(self)["state"].update(each if isinstance(each, dict) else {"state": each})

    def __setitem__(self, key: Any, value: Any) -> None:
        self.append((key, value))

    def append(self, value: Any) -> None:
        """Keep what is put in, as lists and sets do."""
        vars(self)["elements"].append(value)

    add = append

    def extend(self, values: Any) -> None:
        """Keep all that is put in."""
        for value in values:
            self.append(value)

    def __repr__(self) -> str:
        return repr(type(self))

    def django_q_parts(self) -> tuple[str, Iterable[tuple[str, Any]]]:
        """Give the path of the class, and what the pickle made of it, with labels."""
        found: dict[str, Any] = vars(self)
        kind = type(self)
        args, state = found["args"], found["state"]
        name = f"{kind.__module__}.{kind.__qualname__}"
        if (kind.__module__, kind.__qualname__) == _MODEL and args and isinstance(args[0], tuple):
            # Its key, which is the first field that is no inner one. The others may be private.
            name, args = ".".join(map(str, args[0])), ()
            fields = [key for key in state if not str(key).startswith("_")]
            state = {key: state[key] for key in fields[:1]}
        labelled = [("", value) for value in args]
        labelled += [(f"{key!s:.80}=", value) for key, value in (found["kwargs"] | state).items()]
        if found["elements"]:
            labelled.append(("", found["elements"]))
        return name, labelled


class _Onlooker(pickle._Unpickler):
    """Looks into one pickle, and into `parts` of pickles within it, but of none within those."""

    def __init__(self, data: bytes, parts: int = 0) -> None:
        super().__init__(io.BytesIO(data))
        self._parts_left = parts

    def find_class(self, module: str, name: str) -> Any:
        """Give a stand-in, or one of the few that are harmless."""
        if (module, name) == _PART:
            return self._look_into_part
        module = "builtins" if module in ("__builtin__", "exceptions") else module
        if name in _PLAIN.get(module, ()):
            return super().find_class(module, name)
        if (module, name) in _HARMLESS:
            return _HARMLESS[module, name]
        return _StandInType(name, (StandIn,), {"__module__": module, "__qualname__": name})

    def _look_into_part(self, data: bytes, part: str, more: dict[str, Any]) -> Any:
        """Stand for `schedule_arguments.open_part`, which opens what it is given."""
        self._parts_left -= 1
        if self._parts_left < 0:
            raise ValueError("too many parts to look into")
        value = _Onlooker(data).load()[part]
        return value | more if more else value

    def load_bytearray8(self) -> None:
        # Python's own reserves as many bytes as the pickle says that there are.
        (length,) = struct.unpack("<Q", self.read(8))  # type: ignore[attr-defined]
        self.append(bytearray(self.read(length)))  # type: ignore[attr-defined]

    dispatch: ClassVar[Any] = pickle._Unpickler.dispatch | {pickle.BYTEARRAY8[0]: load_bytearray8}


def _bytes(text: str = "", encoding: str = "") -> bytes:
    """Stand for `codecs.encode`, by which old pickles make bytes."""
    return text.encode("latin-1")


def _bytearray(value: bytes = b"") -> bytearray:
    """Stand for `bytearray`, which would reserve as many bytes as a number says."""
    return bytearray(value if isinstance(value, bytes) else b"")


_HARMLESS: dict[tuple[str, str], Any] = {
    ("_codecs", "encode"): _bytes,
    ("builtins", "bytearray"): _bytearray,
}


def look(data: bytes) -> Any:
    """Load a pickle with stand-ins for all that would be imported. Raises whatever is wrong."""
    return _Onlooker(data, _MOST_PARTS).load()


def look_into_package(payload: str) -> dict[str, Any]:
    """Give the keys of a sealed package, its signature unchecked; {} if they cannot be seen."""
    try:
        kind, data = unchecked(payload)
        if kind.isupper():
            data = _expand(data)
        package = json_format.loads(data) if kind in b"jJ" else look(data)
    except Exception:  # whatever a damaged package leads to
        return {}
    return package if isinstance(package, dict) else {}


def look_into_column(text: str) -> Any:
    """Give the value of a stored column. Raises UnreadableValue if it is not to be shown."""
    kind, data = contents(text)
    try:
        return look(data) if kind == "pickle" else json_format.loads(data)
    except Exception as error:  # whatever a damaged pickle leads to
        reason = f"The stored value is damaged: {type(error).__name__}."
        raise UnreadableValue(reason) from error


def _expand(data: bytes) -> bytes:
    decompressor = zlib.decompressobj()
    expanded = decompressor.decompress(data, _LARGEST)
    if decompressor.unconsumed_tail:
        raise ValueError("too large to look at")
    return expanded
