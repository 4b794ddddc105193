"""Bytes in disguise: packages that are bytes, as the text that all packages are inside.

Each character is a byte (Latin-1), and the first is U+00FF, a byte that no UTF-8 has: so on the
wire both kinds are told apart, and any text comes back as it was. Between text and bytes nothing
is reckoned, only copied. For brokers with `carries_bytes`.
"""

#: What such text begins with.
DISGUISED = "\xff"
_FIRST = DISGUISED.encode("latin-1")


def to_wire(payload: str) -> str | bytes:
    """Give a payload as it is sent: bytes where it is disguised; else text, for UTF-8."""
    if payload.startswith(DISGUISED):
        try:
            return payload.encode("latin-1")
        except UnicodeEncodeError:  # text that begins so by chance
            return payload
    return payload


def from_wire(received: bytes) -> str:
    """Give the payload that was sent.

    Bytes that are neither kind are shown by their escapes: such a package is rejected when it is
    opened, which must not happen to the whole batch here.
    """
    if received.startswith(_FIRST):
        return received.decode("latin-1")
    return received.decode(errors="backslashreplace")
