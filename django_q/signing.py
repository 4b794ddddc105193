"""Turns values into signed text and back: Django's signatures, with keys derived once.

Two formats. *Ours* is `~b<head><data>`, both in base64 (RFC 4648, section 4), or for JSON, which
is ASCII, `~t<head><data>` with the data as they are. Where bytes can travel, large data are bytes
in disguise (see `disguise`): U+00FF, `~`, head and data. The head is the kind of the data (`p`
pickle, `j` JSON, `P` and `J` the same behind zlib), the time in seconds since 1970, and the
HMAC-SHA256 of these two and the data. Its key binds project, purpose and queue, so that a
heartbeat or a cached result cannot be taken for a task. Signed is what stands behind base64,
which is shorter, and the alphabet is the one that needs no second pass: a package may have
megabytes. *Legacy* is Django Q's: `django.core.signing.dumps` with the project's name as salt.

Our first format, which is still read, was `~p.<data>:<time>:<signature>`, by Django's signer,
with the kinds `p`, `pz`, `j` and `jz`.
"""

import contextlib
import datetime
import functools
import io
import pickle
import time
import zlib
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from typing import Any

from django.core.signing import BadSignature, Signer, b62_decode, b64_decode

from django_q import json_format
from django_q.conf import Conf
from django_q.disguise import DISGUISED
from django_q.exceptions import PackageRejected
from django_q.signer import KeptSigner, digest_for, kept_signer, signer_for

__all__ = ["BadSignature", "PickleSerializer", "SignedPackage", "seal", "unseal"]

#: First character of our formats; no base64 text begins with it.
_MARK = "~"
#: What ours begins with: base64, text, bytes.
_BASE64, _TEXT, _BYTES = _OURS = (f"{_MARK}b", f"{_MARK}t", f"{DISGUISED}{_MARK}")
#: Bytes of data from which it is worth more to save base64 than to see text on the server.
_LARGE = 1000
#: Bytes of the time and of the signature. With the kind that is a multiple of three, so that base64
#: has the head to itself.
_TIME_SIZE, _DIGEST_SIZE = 6, 32
#: What is signed with the data, and the length of all that stands before them in the text.
_SIGNED_HEAD = 1 + _TIME_SIZE
_HEAD_SIZE = _SIGNED_HEAD + _DIGEST_SIZE
_HEAD_END = len(_BASE64) + _HEAD_SIZE // 3 * 4
#: What the last letter of base64 may be, by the bytes that are left over: its other bits are zero.
_LAST_LETTERS = {1: "AQgw", 2: "AEIMQUYcgkosw048"}
#: Codes by which a pickle names a class or function from protocol 4 on (PEP 307, PEP 3154). Without
#: one nothing in it can be called.
_NAMING = b"\x93\x82\x83\x84"
#: What stood before the dot in our first format, and the kind that it is now.
_FIRST_KINDS = {"~p": b"p", "~pz": b"P", "~j": b"j", "~jz": b"J"}


class PickleSerializer:
    """Serializer for Django's signing: pickle at its highest protocol."""

    def dumps(self, obj: Any) -> bytes:
        """Pickle `obj`."""
        return pickle.dumps(obj, protocol=pickle.HIGHEST_PROTOCOL)

    def loads(self, data: bytes) -> Any:
        """Unpickle; runs code of the classes in `data`, so only behind a signature."""
        return pickle.loads(data)


class SignedPackage:
    """The legacy format, which django-q2 reads and writes too."""

    @staticmethod
    def dumps(obj: Any, compressed: bool | None = None) -> str:
        """Sign a pickle of `obj`; compressed by `Q_CLUSTER["compress"]` unless told."""
        compress = Conf.COMPRESSED if compressed is None else compressed
        signer = kept_signer(Conf.version, Conf.PREFIX)
        return signer.sign_object(obj, serializer=PickleSerializer, compress=compress)

    @staticmethod
    def loads(obj: str) -> Any:
        """Check and unpickle; raises BadSignature for text that is not ours."""
        signed = kept_signer(Conf.version, Conf.PREFIX).unsign(obj)
        check_pickles()
        is_compressed = signed.startswith(".")
        data = b64_decode(signed[is_compressed:].encode())
        return _LegacyUnpickler(io.BytesIO(_expand(data) if is_compressed else data)).load()


class _LegacyUnpickler(pickle.Unpickler):
    """Reads what a Django older than 4 pickled, whose moments are in the UTC of pytz."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("pytz", "_UTC"):
            return _utc
        return super().find_class(module, name)


def _utc() -> datetime.timezone:
    return datetime.UTC


def seal(
    obj: Any, purpose: str, queue: str, serializer: str | None = None, *, as_bytes: bool = False
) -> str:
    """Sign `obj` in our format, for this purpose ("task", "stat", ...) and queue.

    As a pickle or as JSON: `serializer`, by default `Q_CLUSTER["serializer"]`. `as_bytes`: what is
    large may be bytes in disguise. Raises what the serializer raises.
    """
    serializer = serializer or Conf.SERIALIZER
    return sealer(Conf.version, purpose, queue, serializer, as_bytes)(obj, now())


@functools.lru_cache(maxsize=64)
def sealer(
    version: int, purpose: str, queue: str, serializer: str, as_bytes: bool
) -> Callable[[Any, bytes], str]:
    """Give what seals a value, at what `now` gave; `version` is that of `Conf`."""
    usual, is_compressed = b"j" if serializer == "json" else b"p", Conf.COMPRESSED
    digest = signer_for(version, purpose, queue).digest

    def sealed(obj: Any, moment: bytes) -> str:
        kind, data = usual, serialized(obj, serializer)
        if is_compressed and len(squeezed := zlib.compress(data)) < len(data) - 1:
            kind, data = usual.upper(), squeezed
        return _written(kind + moment + digest(kind, moment, data), data, as_bytes)

    return sealed


def now() -> bytes:
    """Give the time as it is sealed."""
    return int(time.time()).to_bytes(_TIME_SIZE)


def _written(head: bytes, data: bytes, as_bytes: bool) -> str:
    if head[:1] == b"j" and data.isascii():
        return f"{_TEXT}{_base64(head)}{data.decode('ascii')}"
    if as_bytes and len(data) >= _LARGE:
        return f"{_BYTES}{head.decode('latin-1')}{data.decode('latin-1')}"
    return _in_base64(head, data)


def _in_base64(head: bytes, data: bytes) -> str:
    # What base64 makes of the head ends where it ends.
    return _BASE64 + _base64(head + data)


def serialized(obj: Any, serializer: str) -> bytes:
    """Give a value as the bytes that are signed. Runs its code; raises whatever that raises."""
    if serializer == "json":
        return json_format.dumps(obj)
    return pickle.dumps(obj, pickle.HIGHEST_PROTOCOL)


def unseal(text: str, purpose: str, queue: str) -> Any:
    """Check and read text of our formats; a pickle runs code of the classes in it.

    Raises BadSignature for text that was not sealed for this purpose and queue, and
    PackageRejected for text that is larger than `Q_CLUSTER["max_package"]`, of another format, or
    a pickle where those are refused.
    """
    signer = signer_for(Conf.version, purpose, queue)
    check = _checked if text[:2] in _OURS else _checked_first
    kind, data = check(text, signer)
    if kind.isupper():
        data = _expand(data)
    if kind in b"jJ":
        return json_format.loads(data)
    check_pickles()
    return pickle.loads(data)


def unseal_plain(text: str, purpose: str, queue: str) -> Any:
    """As `unseal` where reading runs no code and expands nothing: JSON, or values as plain.

    Of pickles those that Python wrote, from protocol 4 on, if no byte of it could name something.
    Raises ValueError for any other text.
    """
    if text[:2] not in _OURS:
        raise ValueError("It has an older format.")
    kind, data = _checked(text, signer_for(Conf.version, purpose, queue))
    if kind == b"j":
        return json_format.loads(data)
    if kind != b"p" or data[1:2] < b"\4" or data.translate(None, _NAMING) != data:
        raise ValueError("Reading it may run code.")
    check_pickles()
    return pickle.loads(data)


def _checked(text: str, signer: KeptSigner) -> tuple[bytes, bytes]:
    """Give kind and data of our format."""
    try:
        head, data = _parts(text)
    except ValueError as error:
        raise BadSignature(f"it is damaged: {error}") from error
    if not signer.is_genuine(head[_SIGNED_HEAD:], head[:_SIGNED_HEAD], data):
        raise BadSignature("it has no signature of ours")
    if (kind := head[:1]) not in _FIRST_KINDS.values():
        raise PackageRejected(f"The package has the unknown format {kind!r}.")
    return kind, data


def _parts(text: str) -> tuple[bytes, bytes]:
    """Give head and data of our format. Raises ValueError where they are no base64, or no bytes."""
    if text.startswith(_BASE64):
        signed = a2b_base64(text[len(_BASE64) :], strict_mode=True)
        if (rest := len(signed) % 3) and text[-4:][rest] not in _LAST_LETTERS[rest]:
            # Another last letter may stand for the same bytes.
            raise ValueError("its last letter is not the one that we write")
    elif text.startswith(_TEXT):
        head = a2b_base64(text[len(_TEXT) : _HEAD_END], strict_mode=True)
        return head, text[_HEAD_END:].encode()
    else:
        signed = text[len(_BYTES) :].encode("latin-1")
    return signed[:_HEAD_SIZE], signed[_HEAD_SIZE:]


def _checked_first(text: str, signer: KeptSigner) -> tuple[bytes, bytes]:
    """Give kind and data of our first format."""
    # The signature only: TimestampSigner would read the time as well, which nobody asks for here.
    kind, _, encoded = Signer.unsign(signer, text).rpartition(":")[0].partition(".")
    if kind not in _FIRST_KINDS:
        raise PackageRejected(f"The package has the unknown format {kind!r}.")
    return _FIRST_KINDS[kind], b64_decode(encoded.encode())


def mac(purpose: str, *data: bytes) -> bytes:
    """Give the 32 bytes that stand for the data and this purpose, whatever the project's name."""
    return digest_for(Conf.version, purpose)(*data)


def is_genuine(data: bytes | memoryview, digest: bytes, purpose: str) -> bool:
    """Tell whether `mac` gave this with one of the project's keys."""
    return kept_signer(Conf.version, f"django_q/{purpose}").is_genuine(digest, data)


def check_pickles() -> None:
    """Raise PackageRejected where no pickles are opened."""
    if not Conf.PICKLES:
        raise PackageRejected(
            'The package is a pickle, which Q_CLUSTER["pickles"] = False refuses.'
        )


def sealed_at(text: str) -> float:
    """Give when text of any format was sealed, in seconds since 1970; once it was checked."""
    if text.startswith(_OURS):
        return float(int.from_bytes(_parts(text[:_HEAD_END])[0][1:_SIGNED_HEAD]))
    return float(b62_decode(text.rsplit(":", 2)[1]))


def unchecked(text: str) -> tuple[bytes, bytes]:
    """Give kind and data of text of any format, whoever signed it: to be looked at, not opened.

    Raises ValueError or KeyError for other text.
    """
    if text.startswith(_OURS):
        head, data = _parts(text)
        return head[:1], data
    kind, _, encoded = text.partition(":")[0].rpartition(".")
    # Django Q's begins with a dot when it is compressed.
    kinds = _FIRST_KINDS | {"": b"P" if text.startswith(".") else b"p"}
    return kinds[kind], b64_decode(encoded.encode())


def as_text(text: str) -> str:
    """Give text of any format as every column takes it: bytes in disguise become base64.

    The signature is the same.
    """
    with contextlib.suppress(ValueError):  # no bytes, so not one of ours
        return _in_base64(*_parts(text)) if text.startswith(_BYTES) else text
    return text


def is_legacy(text: str) -> bool:
    """Tell whether this is text in Django Q's format."""
    return not text.startswith((_MARK, _BYTES))


def _base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode("ascii")


def _expand(data: bytes) -> bytes:
    """Decompress, but never more than the limit: a small package can grow a thousandfold."""
    decompressor = zlib.decompressobj()
    expanded = decompressor.decompress(data, Conf.MAX_PACKAGE)
    if decompressor.unconsumed_tail:
        raise PackageRejected(
            f"The package is larger than {Conf.MAX_PACKAGE} bytes once decompressed. "
            'Raise Q_CLUSTER["max_package"] if it is a genuine one.'
        )
    return expanded
