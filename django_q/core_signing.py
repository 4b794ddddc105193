"""Signpost to Django's signing, which honours `SECRET_KEY_FALLBACKS`; Django Q had its own here."""

from django.core.signing import (
    BadSignature,
    JSONSerializer,
    SignatureExpired,
    Signer,
    TimestampSigner,
    dumps,
    loads,
)

__all__ = [
    "BadSignature",
    "JSONSerializer",
    "SignatureExpired",
    "Signer",
    "TimestampSigner",
    "dumps",
    "loads",
]
