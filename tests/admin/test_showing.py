"""Values become readable texts of limited length, whatever they are."""

import collections
import datetime
import decimal
import enum
import pickle
import time
from typing import Any

import pytest
from django.contrib.auth.models import User

from django_q import package, sealed, signing
from django_q.admin import looking, showing
from tests.site.tasks import Unshowable

Pair = collections.namedtuple("Pair", "first second")


class Colour(enum.Enum):
    RED = 1


class Plain:
    def __init__(self) -> None:
        self.number = 1


class Slotted:
    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 2


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize(
    ("value", "text"),
    [
        ((1, "two", {"three": [None, 4.5]}), "(1, 'two', {'three': [None, 4.5]})"),
        ((1,), "(1,)"),
        ({}, "{}"),
        (set(), "set()"),
        (datetime.date(2026, 1, 2), "datetime.date(2026, 1, 2)"),
        (decimal.Decimal("1.50"), "Decimal('1.50')"),
        (b"bytes", "b'bytes'"),
        (bytearray(b"more"), "bytearray(b'more')"),
        (Plain(), "tests.admin.test_showing.Plain(number=1)"),
        (Slotted(), "tests.admin.test_showing.Slotted(number=2)"),
        (Pair(1, 2), "tests.admin.test_showing.Pair(1, 2)"),
        (Colour.RED, "tests.admin.test_showing.Colour(1)"),
        (Plain, "<tests.admin.test_showing.Plain>"),
        (collections.deque([1, 2]), "collections.deque([1, 2])"),
    ],
)
def test_a_pickled_value_is_shown_as_it_is_written(protocol: int, value: Any, text: str) -> None:
    assert showing.show(looking.look(pickle.dumps(value, protocol))) == text


def test_of_a_model_only_the_key_is_shown() -> None:
    user = User(pk=17, username="ada", email="ada@example.org", password="a hash")

    assert showing.show(looking.look(pickle.dumps(user))) == "auth.User(id=17)"


def test_a_long_value_is_laid_out_over_lines() -> None:
    value = {"name": "x" * 30, "lines": list(range(30)), "inner": {"key": ["y" * 70, "z" * 70]}}

    assert showing.pretty(value).splitlines() == [
        "{",
        "    'name': 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx',",
        "    'lines': [",
        "        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19,",
        "        20, 21, 22, 23, 24, 25, 26, 27, 28, 29,",
        "    ],",
        "    'inner': {",
        "        'key': [",
        f"            '{'y' * 70}',",
        f"            '{'z' * 70}',",
        "        ],",
        "    },",
        "}",
    ]
    assert showing.pretty(value, 10).endswith("…")


def _endless() -> Any:
    value: list[Any] = []
    for _ in range(100):
        value = [value] * 50
    return value


def _round() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


def _deep() -> Any:
    value: list[Any] = []
    for _ in range(20_000):
        value = [value]
    return value


@pytest.mark.parametrize(
    "make",
    [_endless, _round, _deep, lambda: list(range(1_000_000)), lambda: 10**10_000, Unshowable],
    ids=["endless", "round", "deep", "long", "number", "broken"],
)
def test_any_value_is_shown_in_short_time_and_space(make: Any) -> None:
    value = make()
    begin = time.process_time()

    for text in (showing.show(value), showing.pretty(value), showing.text_block(value)):
        assert 0 < len(text) < 60_000

    assert time.process_time() - begin < 2


def test_what_is_shown_is_limited() -> None:
    assert showing.show("x" * 200, 100) == "x" * 99 + "…"
    assert len(showing.show({"x" * 10_000: "y" * 10_000})) < 2_200


def test_the_end_of_a_long_text_is_folded() -> None:
    text = "".join(f"line {number}\n" for number in range(40))

    html = showing.text_block(text)

    open_part, _, folded = html.partition("<details")
    assert "line 15" in open_part
    assert "line 16" in folded
    assert "more lines" in folded
    assert "<details" not in showing.text_block("short")
    assert "<details" in showing.text_block("word " * 1000)


def test_of_a_long_traceback_the_last_frames_are_open() -> None:
    frames = "".join(f'  File "f.py", line {n}, in f{n}\n    g()\n    ^^^\n' for n in range(30))
    error = f"no : Traceback (most recent call last):\n{frames}ValueError: no"

    head, _, rest = showing.error_block(error).partition("<details")
    folded, _, last = rest.partition("</details>")

    assert head == '<p class="django-q-error">no</p>'
    assert "in f0\n" in folded
    assert last.startswith('<pre class="django-q-text">  File')
    assert last.endswith("ValueError: no</pre>")


def test_a_headline_is_the_first_line_of_the_error() -> None:
    assert showing.headline("a\nb : Traceback (most recent call last):\nc") == "a"
    assert showing.headline("x" * 200) == "x" * 99 + "…"


def test_a_path_may_be_broken_behind_its_dots_and_underscores() -> None:
    assert showing.path_text("a_b.c<d") == "a_<wbr>b.<wbr>c&lt;d"
    assert showing.path_text("") == ""


# Looking into pickles.


@pytest.mark.parametrize("serializer", ["pickle", "json"])
@pytest.mark.parametrize("compressed", [False, True])
def test_packages_of_all_formats_can_be_looked_into(
    compressed: bool, serializer: str, q_cluster: Any
) -> None:
    q_cluster(compress=compressed, serializer=serializer)
    built = package.build_package("math.sqrt", ("4" * 500,), {}, {"group": "g"})

    for payload in (sealed.seal_package(built, "q"), signing.SignedPackage.dumps(built)):
        seen = looking.look_into_package(payload)

        # The moment may be the text as which it travels.
        assert str(seen.pop("started")).replace("T", " ") == str(built["started"])
        assert seen == {key: value for key, value in built.items() if key != "started"}


def test_a_package_that_grows_too_large_is_not_looked_into(q_cluster: Any) -> None:
    q_cluster(compress=True)
    built = package.build_package("math.sqrt", ("4" * 1_000_000,), {}, {})

    assert looking.look_into_package(sealed.seal_package(built, "q")) == {}


def test_a_pickle_cannot_reserve_memory() -> None:
    by_opcode = b"\x80\x05\x96\x00\x00\x00\x00\x10\x00\x00\x00."
    by_call = b"cbuiltins\nbytearray\n(I68719476736\ntR."

    with pytest.raises(EOFError):
        looking.look(by_opcode)
    assert looking.look(by_call) == bytearray()
