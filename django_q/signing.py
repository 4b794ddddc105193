"""Turns values into signed text and back: Django's signatures, with keys derived once.

Two formats. *Ours* is `~p.<data>:<time>:<signature>`: `p` says pickle, `j` JSON (`pz`, `jz`:
behind zlib), and the salt binds project, purpose and queue, so that a heartbeat or a cached result
cannot be taken for a task. *Legacy* is Django Q's: `django.core.signing.dumps` with the project's
name as salt.
"""

import datetime
import functools
import io
import pickle
import zlib
from typing import Any

from django.core.signing import (
    BadSignature,
    Signer,
    TimestampSigner,
    b62_decode,
    b64_decode,
    b64_encode,
)
from django.utils.crypto import constant_time_compare, salted_hmac

from django_q import json_format
from django_q.conf import Conf
from django_q.exceptions import PackageRejected

__all__ = ["BadSignature", "PickleSerializer", "SignedPackage", "seal", "unseal"]

#: First character of our format; no base64 text begins with it.
_MARK = "~"
#: What stands before the dot.
_KINDS = tuple(f"{_MARK}{kind}" for kind in ("p", "pz", "j", "jz"))


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
        signer = _signer(Conf.version, Conf.PREFIX)
        return signer.sign_object(obj, serializer=PickleSerializer, compress=compress)

    @staticmethod
    def loads(obj: str) -> Any:
        """Check and unpickle; raises BadSignature for text that is not ours."""
        signed = _signer(Conf.version, Conf.PREFIX).unsign(obj)
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


def seal(obj: Any, purpose: str, queue: str, serializer: str | None = None) -> str:
    """Sign `obj` in our format, for this purpose ("task", "stat", ...) and queue.

    As a pickle or as JSON: `serializer`, by default `Q_CLUSTER["serializer"]`. Raises what that
    raises.
    """
    serializer = serializer or Conf.SERIALIZER
    data, kind = serialized(obj, serializer), "j" if serializer == "json" else "p"
    if Conf.COMPRESSED and len(squeezed := zlib.compress(data)) < len(data) - 1:
        data, kind = squeezed, f"{kind}z"
    text = f"{_MARK}{kind}.{b64_encode(data).decode()}"
    return _signer(Conf.version, _salt(purpose, queue)).sign(text)


def serialized(obj: Any, serializer: str) -> bytes:
    """Give a value as the bytes that are signed. Runs its code; raises whatever that raises."""
    if serializer == "json":
        return json_format.dumps(obj)
    return pickle.dumps(obj, protocol=pickle.HIGHEST_PROTOCOL)


def unseal(text: str, purpose: str, queue: str) -> Any:
    """Check and read text of our format; a pickle runs code of the classes in it.

    Raises BadSignature for text that was not sealed for this purpose and queue, and
    PackageRejected for text that is larger than `Q_CLUSTER["max_package"]`, of another format, or
    a pickle where those are refused.
    """
    # The signature only: TimestampSigner would read the time as well, which nobody asks for here.
    signed = Signer.unsign(_signer(Conf.version, _salt(purpose, queue)), text)
    kind, _, encoded = signed.rpartition(":")[0].partition(".")
    if kind not in _KINDS:
        raise PackageRejected(f"The package has the unknown format {kind!r}.")
    data = b64_decode(encoded.encode())
    if kind.endswith("z"):
        data = _expand(data)
    if kind[1] == "j":
        return json_format.loads(data)
    check_pickles()
    return pickle.loads(data)


def mac(data: bytes, purpose: str) -> bytes:
    """Give the 32 bytes that stand for `data` and this purpose, whatever the project's name."""
    signer = _signer(Conf.version, f"django_q/{purpose}")
    return signer.digest(data, signer.key)


def is_genuine(data: bytes, digest: bytes, purpose: str) -> bool:
    """Tell whether `mac` gave this with one of the project's keys."""
    signer = _signer(Conf.version, f"django_q/{purpose}")
    keys = (signer.key, *signer.fallback_keys)
    return any(constant_time_compare(digest, signer.digest(data, key)) for key in keys)


def check_pickles() -> None:
    """Raise PackageRejected where no pickles are opened."""
    if not Conf.PICKLES:
        raise PackageRejected(
            'The package is a pickle, which Q_CLUSTER["pickles"] = False refuses.'
        )


def sealed_at(text: str) -> float:
    """Give when text of either format was sealed, in seconds since 1970; once it was checked."""
    return float(b62_decode(text.rsplit(":", 2)[1]))


def is_legacy(text: str) -> bool:
    """Tell whether this is text in Django Q's format."""
    return not text.startswith(_MARK)


def _salt(purpose: str, queue: str) -> str:
    return f"django_q/{Conf.PREFIX}/{purpose}/{queue}"


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


class _Signer(TimestampSigner):
    """Django's signer with each key's HMAC prepared once: 2 us a signature instead of 10."""

    @functools.cached_property
    def _macs(self) -> dict[str | bytes, Any]:
        salt = f"{self.salt!s}signer"
        keys = [self.key, *self.fallback_keys]
        return {key: salted_hmac(salt, b"", key, algorithm=self.algorithm) for key in keys}

    def signature(self, value: str | bytes, key: str | bytes | None = None) -> str:
        """Sign as the base class does."""
        data = value.encode() if isinstance(value, str) else value
        return b64_encode(self.digest(data, key or self.key)).decode()

    def digest(self, data: bytes, key: str | bytes) -> bytes:
        """Give the HMAC of `data` with one of the keys."""
        mac = self._macs[key].copy()
        mac.update(data)
        return bytes(mac.digest())


@functools.lru_cache(maxsize=64)
def _signer(version: int, salt: str) -> _Signer:
    keys = Conf.SIGNING_KEY
    if not keys:
        return _Signer(key=Conf.SECRET_KEY, salt=salt)
    first, *others = [keys] if isinstance(keys, str) else keys
    return _Signer(key=first, fallback_keys=others, salt=salt)
