"""RESP2, the protocol of Redis and Disque: commands in, replies out. Used by the Disque node."""

from typing import Any

#: The longest inline command, as in Redis; and the largest bulk, in bytes.
_INLINE_LIMIT = 64 * 1024
_BULK_LIMIT = 512 * 2**20


class Status(str):
    """A reply of one short line, such as OK."""


class Refused(Exception):
    """A reply that refuses; the text begins with a code in capitals, or gets ERR."""


class ProtocolError(Exception):
    """What came is no RESP; the connection is closed after the reply."""


#: The reply of a command that waited for jobs in vain: no list, where None is no text.
NIL_LIST = object()


def parse(buffer: bytearray, start: int) -> tuple[list[bytes], int] | None:
    """Give the command that begins at `start` and where it ends, or None if it is not whole yet.

    Takes the form of clients (an array of bulks) and the inline form (words in one line).
    """
    end = buffer.find(b"\n", start)
    if end < 0:
        if len(buffer) - start > _INLINE_LIMIT:
            raise ProtocolError("Protocol error: too big inline request")
        return None
    line = bytes(buffer[start:end]).rstrip(b"\r")
    if not line.startswith(b"*"):
        return line.split(), end + 1
    count = _number(line[1:], 2**20, "Protocol error: invalid multibulk length")
    words, place = [], end + 1
    for _ in range(count):
        word = _parse_bulk(buffer, place)
        if word is None:
            return None
        words.append(word[0])
        place = word[1]
    return words, place


def _parse_bulk(buffer: bytearray, start: int) -> tuple[bytes, int] | None:
    end = buffer.find(b"\r\n", start)
    if end < 0:
        return None
    if buffer[start : start + 1] != b"$":
        found = chr(buffer[start]) if end > start else "\\r"
        raise ProtocolError(f"Protocol error: expected '$', got '{found}'")
    length = _number(
        bytes(buffer[start + 1 : end]), _BULK_LIMIT, "Protocol error: invalid bulk length"
    )
    first, last = end + 2, end + 2 + length
    if len(buffer) < last + 2:
        return None
    return bytes(buffer[first:last]), last + 2


def _number(text: bytes, high: int, complaint: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if not 0 <= number <= high:
        raise ProtocolError(complaint)
    return number


def encode(reply: Any) -> bytes:
    """Write a reply (or a message between nodes) as RESP."""
    if isinstance(reply, Refused | ProtocolError):
        text = str(reply)
        code = text.partition(" ")[0]
        return f"-{'' if code.isupper() and len(code) > 2 else 'ERR '}{text}\r\n".encode()
    if isinstance(reply, Status):
        return f"+{reply}\r\n".encode()
    if isinstance(reply, int):
        return b":%d\r\n" % reply
    if isinstance(reply, list | tuple):
        return b"*%d\r\n" % len(reply) + b"".join(map(encode, reply))
    if reply is None:
        return b"$-1\r\n"
    if reply is NIL_LIST:
        return b"*-1\r\n"
    data = reply.encode() if isinstance(reply, str) else bytes(reply)
    return b"$%d\r\n%b\r\n" % (len(data), data)
