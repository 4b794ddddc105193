"""Values at rest: arguments and results as signed text in the column of a table, and back.

Two forms. A *pickle* is base64, as Django Q writes it, with a mark and a signature behind the end
of the pickle: there Django Q and django-q2 do not look, so they read what we wrote. *JSON* is
`~j.<json>:<signature>`. What has neither is an unsigned pickle of Django Q's.

The signature has a purpose of its own, so that nothing else that we sign is taken for a stored
value, or the other way round. It does not bind the project's `name`: rows are found under any.
"""

import pickle
from base64 import b64decode
from binascii import b2a_base64
from functools import lru_cache
from typing import Any, Literal

from django.core.signing import b64_decode, b64_encode

from django_q import json_format, signing
from django_q.conf import Conf
from django_q.exceptions import UnreadableValue

_PURPOSE = "stored"
#: Stands between a pickle and its signature. JSON, which is ASCII, cannot end with it.
_MARK = b"\xffdq3"
#: Bytes of a signature.
_LENGTH = 32
#: What JSON begins with; no base64 does.
_JSON = "~j."
#: What a pickle begins with: 0x80 and the number of its protocol, in base64.
_PICKLE = "gA"


def seal_value(value: Any) -> str | None:
    """Give a value as signed text; None stays None.

    A pickle, or JSON where `Q_CLUSTER["serializer"]` says so: what JSON would not give back as it
    was is pickled all the same. Where `pickles` is off, a function is kept as its path and a moment
    with its offset, as they travel, and all else that has no form in JSON raises TypeError. Runs
    code of the value, and raises whatever that raises.
    """
    if value is None:
        return None
    # Identity of type first: comparing would run a value's own __eq__.
    if (type(value) is tuple or type(value) is dict) and not value:
        return _of_empty(Conf.version, type(value))
    return _sealed(value)


def open_value(text: str | None) -> Any:
    """Give the value of a text. A pickle runs code of the classes in it.

    Raises UnreadableValue, with nothing opened, for text that was changed, has another key's
    signature, or has none or is a pickle where that is refused; and for a pickle that fails.
    """
    if text is None:
        return None
    kind, data = contents(text)
    if kind == "pickle" and not Conf.PICKLES:
        raise UnreadableValue(
            'The stored value is a pickle, which Q_CLUSTER["pickles"] = False refuses.'
        )
    try:
        return pickle.loads(data) if kind == "pickle" else json_format.loads(data)
    except Exception as error:  # unpickling runs any code
        raise UnreadableValue(
            f"The stored value cannot be opened: {type(error).__name__}: {error}. "
            "Was a class or module that it needs moved or removed?"
        ) from error


def value_or_error(text: str | None) -> Any:
    """Give the value of a text, or in its place the UnreadableValue that says why there is none."""
    try:
        return open_value(text)
    except UnreadableValue as error:
        # Anew: the one that was raised keeps all that was on the stack.
        return UnreadableValue(*error.args)


def contents(text: str) -> tuple[Literal["pickle", "json"], bytes]:
    """Give what a text holds, once its signature was checked. Opens nothing.

    A pickle may have more behind its end. Raises UnreadableValue as `open_value`.
    """
    if text.startswith("~"):
        body, _, signature = text.rpartition(":")
        _check(body.encode("utf-8", "replace"), _decoded(b64_decode, signature))
        if not body.startswith(_JSON):
            raise UnreadableValue(f"The stored value has the unknown form {body[:3]!r}.")
        return "json", body[len(_JSON) :].encode()
    data = _decoded(b64decode, text)
    if data.endswith(_MARK, 0, -_LENGTH):
        # Not cut off: it may have megabytes, and nobody reads behind the end of a pickle.
        _check(memoryview(data)[:-_LENGTH], data[-_LENGTH:])
        return "pickle", data
    if Conf.LEGACY == "off":
        raise UnreadableValue(
            "The stored value has no signature: Django Q wrote it, or somebody else, and "
            "Q_CLUSTER[\"legacy\"] = 'off' refuses it."
        )
    return "pickle", data


def is_signed(text: str) -> bool:
    """Tell whether this has the form of a text that we wrote, whoever signed it."""
    if text.startswith(_JSON):
        return True
    try:
        return b64decode(text).endswith(_MARK, 0, -_LENGTH)
    except ValueError:
        return False


def is_stored(text: str) -> bool:
    """Tell whether this has the form of a stored value, also of one that Django Q wrote."""
    return is_signed(text) or text.startswith(_PICKLE)


def _sealed(value: Any) -> str:
    if Conf.SERIALIZER == "json" and Conf.LEGACY != "write":
        try:
            body = _JSON + json_format.dumps(value, strict=Conf.PICKLES).decode()
        except Exception:  # code of the value
            if not Conf.PICKLES:
                raise
        else:
            return f"{body}:{b64_encode(signing.mac(_PURPOSE, body.encode())).decode()}"
    data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL) + _MARK
    return b2a_base64(data + signing.mac(_PURPOSE, data), newline=False).decode()


@lru_cache(maxsize=16)
def _of_empty(version: int, kind: type) -> str:
    return _sealed(kind())


def _check(data: bytes | memoryview, mac: bytes) -> None:
    if not signing.is_genuine(data, mac, _PURPOSE):
        raise UnreadableValue(
            "The signature of the stored value does not match: it was written with another "
            "SECRET_KEY or signing_key, or changed since. A key that was replaced belongs into "
            "SECRET_KEY_FALLBACKS, or into the list signing_key."
        )


def _decoded(decode: Any, text: str) -> bytes:
    try:
        return bytes(decode(text.encode()))
    except ValueError as error:
        raise UnreadableValue(f"The stored value is damaged: {error}.") from error
