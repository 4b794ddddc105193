"""Turns values into signed text and back: Django's signatures, with keys derived once.

Two formats. *Ours* is `~p.<data>:<time>:<signature>`: `p` says pickle (`pz`: behind zlib), and the
salt binds project, purpose and queue, so that a heartbeat or a cached result cannot be taken for
a task. *Legacy* is Django Q's: `django.core.signing.dumps` with the project's name as salt.
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
    b64_decode,
    b64_encode,
)
from django.utils.crypto import salted_hmac

from django_q.conf import Conf
from django_q.exceptions import PackageRejected

__all__ = ["BadSignature", "PickleSerializer", "SignedPackage", "seal", "unseal"]

#: First character of our format; no base64 text begins with it.
_MARK = "~"


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


def seal(obj: Any, purpose: str, queue: str) -> str:
    """Sign a pickle of `obj` in our format, for this purpose ("task", "stat", ...) and queue."""
    data = pickle.dumps(obj, protocol=pickle.HIGHEST_PROTOCOL)
    kind = "p"
    if Conf.COMPRESSED and len(squeezed := zlib.compress(data)) < len(data) - 1:
        data, kind = squeezed, "pz"
    text = f"{_MARK}{kind}.{b64_encode(data).decode()}"
    return _signer(Conf.version, _salt(purpose, queue)).sign(text)


def unseal(text: str, purpose: str, queue: str) -> Any:
    """Check and unpickle text of our format; unpickling runs code of the classes in it.

    Raises BadSignature for text that was not sealed for this purpose and queue, and
    PackageRejected for text that is larger than `Q_CLUSTER["max_package"]` or of another format.
    """
    # The signature only: TimestampSigner would read the time as well, which nobody asks for here.
    signed = Signer.unsign(_signer(Conf.version, _salt(purpose, queue)), text)
    kind, _, encoded = signed.rpartition(":")[0].partition(".")
    data = b64_decode(encoded.encode())
    if kind == f"{_MARK}pz":
        data = _expand(data)
    elif kind != f"{_MARK}p":
        raise PackageRejected(f"The package has the unknown format {kind!r}.")
    return pickle.loads(data)


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
        mac = self._macs[key or self.key].copy()
        mac.update(value.encode() if isinstance(value, str) else value)
        return b64_encode(mac.digest()).decode()


@functools.lru_cache(maxsize=64)
def _signer(version: int, salt: str) -> _Signer:
    return _Signer(key=Conf.SECRET_KEY, salt=salt)
