"""Django's signer with its keys kept: its signatures are those of the plain one."""

from typing import Any

import pytest
from django.core import signing as django_signing
from django.utils.crypto import salted_hmac

from django_q.signer import KeptSigner


@pytest.mark.parametrize("key", ["k", "ü" * 100, b"\xff" * 64])
@pytest.mark.parametrize("value", ["", "a text", "ü" * 1000])
def test_signatures_are_those_of_the_plain_way(key: Any, value: str) -> None:
    fast, plain = KeptSigner(key=key, salt="ö"), django_signing.Signer(key=key, salt="ö")

    assert fast.signature(value) == plain.signature(value)
    assert fast.signature(value) == plain.signature(value)


def test_parts_are_signed_as_the_whole() -> None:
    signer = KeptSigner(key="k", fallback_keys=["old"], salt="s")
    old = KeptSigner(key="old", salt="s")
    digest = salted_hmac("ssigner", b"abc", "k", algorithm="sha256").digest()

    assert signer.digest(b"abc") == signer.digest(b"a", b"bc") == digest
    assert signer.is_genuine(digest, b"ab", memoryview(b"c"))
    assert signer.is_genuine(old.digest(b"abc"), b"abc")
    assert not signer.is_genuine(digest, b"ab")
