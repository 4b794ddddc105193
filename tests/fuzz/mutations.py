"""Changes that turn a good input into a bad one: of bytes, and of values."""

import random
from collections.abc import Sequence
from typing import Any

#: Bytes of the largest input; larger ones are found by repeating within it.
LARGEST = 60_000
#: Numbers at which something ends.
_EDGES = (
    *(0, 1, -1, 2, 7, 8, 59, 60, 99, 100, 255, 256, 999, 65535, 65536, 2**31 - 1, 2**31, -(2**31)),
    *(2**32, 2**53, 2**63 - 1, 2**63, -(2**63), 2**64, 10**30),
)
_TEXTS = (
    "",
    " ",
    "\0",
    "a",
    "é",
    "🚀",
    "\ud800",
    "%s",
    "{}",
    "\n",
    "x" * 5000,
    "-",
    "None",
    "1e999",
)


def odd_value(chance: random.Random, depth: int = 0) -> Any:
    """Give a value that nobody expects."""
    kind = chance.randrange(12 if depth < 3 else 8)
    if kind < 3:
        # The second has more digits than Python writes.
        return chance.choice(_EDGES) if chance.random() < 0.97 else 1 << 20_000
    if kind == 3:
        return chance.choice([0.5, -0.5, 1e308, float("inf"), float("-inf"), float("nan"), 1e-320])
    if kind < 6:
        return chance.choice(_TEXTS)
    if kind == 6:
        return chance.choice([None, True, False])
    if kind == 7:
        return chance.choice([b"", b"\xff\0", (), [], {}, set()])
    inner = [odd_value(chance, depth + 1) for _ in range(chance.randrange(1, 4))]
    if kind == 8:
        return nested(chance)
    if kind == 9:
        return {str(chance.choice(_TEXTS)) + str(n): each for n, each in enumerate(inner)}
    return inner if kind == 10 else tuple(inner)


def nested(chance: random.Random) -> Any:
    """Give lists in lists."""
    value: Any = []
    for _ in range(chance.choice([5, 50, 90])):
        value = [value]
    return value


def changed_value(chance: random.Random, value: Any) -> Any:
    """Give a value with one part of it changed."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        key = chance.choice(list(value))
        return value | {key: changed_value(chance, value[key])}
    if isinstance(value, (list, tuple)) and value and chance.random() < 0.8:
        place = chance.randrange(len(value))
        made = [*value[:place], changed_value(chance, value[place]), *value[place + 1 :]]
        return type(value)(made)
    if isinstance(value, str) and value and chance.random() < 0.6:
        data = value.encode("utf-8", "surrogatepass")
        return changed_bytes(chance, data, [b"\0", b"."]).decode("utf-8", "replace")
    return odd_value(chance)


def changed_bytes(chance: random.Random, data: bytes, tokens: Sequence[bytes]) -> bytes:
    """Give bytes with one to four changes."""
    for _ in range(chance.choice([1, 1, 1, 2, 3, 4])):
        data = chance.choice(_CHANGES)(chance, data, tokens)[:LARGEST]
    return data


def _flip(chance: random.Random, data: bytes, tokens: Sequence[bytes]) -> bytes:
    if not data:
        return bytes([chance.randrange(256)])
    place = chance.randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << chance.randrange(8))]) + data[place + 1 :]


def _put_byte(chance: random.Random, data: bytes, tokens: Sequence[bytes]) -> bytes:
    place = chance.randint(0, len(data))
    return data[:place] + bytes([chance.randrange(256)]) + data[place + chance.randint(0, 1) :]


def _cut(chance: random.Random, data: bytes, tokens: Sequence[bytes]) -> bytes:
    first, last = _slice(chance, data)
    return data[:first] + data[last:]


def _repeat(chance: random.Random, data: bytes, tokens: Sequence[bytes]) -> bytes:
    first, last = _slice(chance, data)
    times = chance.choice([2, 2, 3, 10, 100, 3000])
    return data[:first] + data[first:last][:200] * times + data[last:]


def _end(chance: random.Random, data: bytes, tokens: Sequence[bytes]) -> bytes:
    return data[: chance.randint(0, len(data))]


def _put_token(chance: random.Random, data: bytes, tokens: Sequence[bytes]) -> bytes:
    place = chance.randint(0, len(data))
    return data[:place] + chance.choice(tokens) + data[place + chance.choice([0, 0, 1, 3]) :]


def _change_number(chance: random.Random, data: bytes, tokens: Sequence[bytes]) -> bytes:
    places = [n for n, byte in enumerate(data[:5000]) if 48 <= byte <= 57]
    if not places:
        return _put_token(chance, data, tokens)
    first = last = chance.choice(places)
    while last < len(data) and 48 <= data[last] <= 57:
        last += 1
    number = chance.choice([edge for edge in _EDGES if abs(edge) < 10**40])
    return data[:first] + str(number).encode() + data[last:]


def _slice(chance: random.Random, data: bytes) -> tuple[int, int]:
    first = chance.randint(0, len(data))
    return first, min(len(data), first + chance.choice([1, 1, 2, 4, 16, 200]))


_CHANGES = (_flip, _put_byte, _cut, _repeat, _end, _put_token, _put_token, _change_number)
