"""Packages: sealed text of every format, damaged outside, or damaged inside and sealed again.

The first character of an input says what it is:

    T   the text itself, as a broker would give it
    S   a number of a format, then what is inside: it is sealed as that
    Z   the same, compressed first
    W   a number of a purpose, then what is inside: sealed for that, and not for a task

Python's unpickler prints "deallocated bytearray object has exported buffers" where a pickle ends in
the middle of one; it raises what it should all the same.
"""

import datetime
import pickle
import random
import zlib
from typing import Any

from django.core.signing import b64_encode

from django_q import json_format, signing
from django_q.conf import Conf
from django_q.exceptions import PackageRejected
from django_q.executor import time_limit
from django_q.package import build_package, function_path
from django_q.sealed import open_package, seal_package
from django_q.signer import kept_signer, signer_for
from django_q.signing import SignedPackage
from tests.fuzz.mutations import changed_bytes, changed_value, odd_value
from tests.fuzz.target import Finding, Target, outcome_of
from tests.site.tasks import Unshowable

QUEUE = "default"
#: What can stand before the dot of our first format, or in front of django-q2's; the last two are
#: kinds of ours.
_FORMATS = ("~p", "~pz", "~j", "~jz", "~", "~q", "", ".", "p", "j")
_PURPOSES = (("stat", QUEUE), ("cached", QUEUE), ("schedule", QUEUE), ("task", "another"), ("", ""))
_TOKENS = (
    *(b":", b".", b"~p.", b"~pz.", b"~jz.", b"\x80\x05", b"(", b"N.", b"}", b"]", b"\x85R", b"2"),
    b"~b",
    *(b"c__main__\nx\n", b"r\xff\xff\xff\x7f", b"\x8e\xff\xff\xff\xff\0\0\0\0", b"\x94", b"h\xff"),
    *(b'{"!tuple":', b'{"!set":[[1]]}', b'{"!decimal":"1e999999"}', b"[", b'"!dict"', b"NaN"),
    *(b'{"!timedelta":[999999999,0,0]}', b'{"!datetime":"9999-12-31T23:59:59+00:00"}', b"1e400"),
)


def _package(*args: Any, **options: Any) -> dict[str, Any]:
    made: Any = build_package("math.sqrt", args, {"key": [1.5, None]}, options)
    # Inputs have to be the same in every run.
    return made | {
        "id": "0123456789abcdef" * 2,
        "name": "a-b-c-d",
        "started": datetime.datetime(2026, 11, 28, 12, tzinfo=datetime.UTC),
    }


_PACKAGES = (
    _package(4),
    _package("text", b"bytes", timeout=10, hook="math.sqrt", group="g", save=True),
    _package((1, {2}), run_at=datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC), priority=5),
    _package(datetime.timedelta(1), max_attempts=3, backoff=[1, 2], retry_on=["OSError"]),
)


def _seeds() -> list[bytes]:
    insides = [pickle.dumps(package, protocol) for package in _PACKAGES for protocol in (2, 5)]
    found = [b"S0" + inside for inside in insides] + [b"S6" + inside for inside in insides[:2]]
    found += [b"Z1" + insides[0], b"Z7" + insides[0], b"Z1" + b"\0" * 50_000]
    found += [b"S2" + json_format.dumps(package) for package in _PACKAGES]
    found += [b"Z3" + json_format.dumps(_PACKAGES[1]), b"Z3" + b"[" * 50_000]
    found += [how + inside for inside in insides[:4] for how in (b"S8", b"Z8")]
    found += [how + json_format.dumps(_PACKAGES[0]) for how in (b"S9", b"Z9")]
    found += [b"Z8" + b"\0" * 50_000, b"Z9" + b"[" * 50_000]
    found += [b"W%d" % place + insides[0] for place in range(len(_PURPOSES))]
    texts = [seal_package(package, QUEUE) for package in _PACKAGES]  # type: ignore[arg-type]
    texts += [seal_package(_package("\xff" * 1000), QUEUE, as_bytes=True)]  # type: ignore[arg-type]
    texts += [SignedPackage.dumps(_PACKAGES[0]), SignedPackage.dumps(_PACKAGES[0], compressed=True)]
    return found + [b"T" + text.encode() for text in texts]


def _make(chance: random.Random) -> bytes:
    """Make a package with a strange value in it, and seal it; or change what is inside."""
    package = changed_value(chance, chance.choice(_PACKAGES))
    if chance.random() < 0.1:
        package = odd_value(chance)
    elif isinstance(package, dict) and package and chance.random() < 0.05:
        package = package | {chance.choice(list(package)): Unshowable()}
    if chance.random() < 0.3:
        inside, kinds = json_format.dumps(package), b"239"
    else:
        inside, kinds = pickle.dumps(package, chance.choice([0, 2, 4, 5])), b"01678"
    if chance.random() < 0.3:
        inside = changed_bytes(chance, inside, _TOKENS)
    kind = chance.choice(kinds)
    is_compressed = chr(kind) in "1357" or (chr(kind) in "89" and chance.random() < 0.5)
    return (b"Z" if is_compressed else b"S") + bytes([kind]) + inside


def _place(data: bytes) -> int:
    return int(data[1:2]) if data[1:2].isdigit() else 0


def _signed(kind: bytes, data: bytes, purpose: str, queue: str) -> str:
    head = kind + signing.now()
    head += signer_for(Conf.version, purpose, queue).digest(head, data)
    return signing._written(head, data, False)


def _sealed(data: bytes) -> str:
    how, place, inside = data[:1], _place(data), data[2:]
    if how == b"W":
        purpose, queue = _PURPOSES[place % len(_PURPOSES)]
        if place % 2:
            return _signed(b"p", inside, purpose, queue)
        return signer_for(Conf.version, purpose, queue).sign(f"~p.{b64_encode(inside).decode()}")
    kind = _FORMATS[place % len(_FORMATS)]
    if how == b"Z":
        inside = zlib.compress(inside, 1)
    if kind.isalpha():
        letter = kind.upper() if how == b"Z" else kind
        return _signed(letter.encode(), inside, "task", QUEUE)
    body = b64_encode(inside).decode()
    if not kind.startswith("~"):
        return kept_signer(Conf.version, Conf.PREFIX).sign(kind + body)
    return signer_for(Conf.version, "task", QUEUE).sign(f"{kind}.{body}")


def _read(data: bytes) -> str:
    is_text = data[:1] not in (b"S", b"Z", b"W")
    text = data[1:].decode("utf-8", "backslashreplace") if is_text else _sealed(data)
    try:
        package = open_package(text, QUEUE)
    except PackageRejected as error:
        str(error).encode()  # it is written to a database
        return outcome_of(error)
    if data[:1] == b"W":
        raise Finding("what was sealed for another purpose was opened")
    if is_text and text not in TEXTS:
        raise Finding("text that nobody sealed was opened")
    limit = time_limit(package)
    if not (limit is None or isinstance(limit, float)):
        raise Finding(f"the limit of time is {limit!r}")
    function_path(package["func"])
    return "opened text" if is_text else f"opened {_FORMATS[_place(data) % len(_FORMATS)]}"


_SEEDS = _seeds()
#: The genuine ones.
TEXTS = {seed[1:].decode() for seed in _SEEDS if seed[:1] == b"T"}
PACKAGES = Target("packages", 36, _SEEDS, _read, _TOKENS, _make)
