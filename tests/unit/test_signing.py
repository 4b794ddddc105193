"""Signed text: what opens, what does not, and nothing unpickled before its signature is known."""

import base64
import pickle
from collections.abc import Callable, Iterator
from string import ascii_letters, digits
from typing import Any

import pytest
from django.core import signing as django_signing
from django.test import override_settings

from django_q import signing
from django_q.conf import Conf
from django_q.exceptions import PackageRejected
from django_q.signer import signer_for
from django_q.signing import BadSignature, SignedPackage, seal, unseal
from tests.site.tasks import RunsWhenOpened

#: Every kind of value that has bitten somebody.
VALUES = [
    None,
    {"a": (1, [2.5, None])},
    "ü\0\n:.~ 😀",
    b"\x00\xff",
    "\ud800",
    10**50,
    "x" * 100_000,
]

_opened: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_opened() -> Iterator[None]:
    _opened.clear()
    yield


def note() -> str:
    """Leave a trace of being unpickled."""
    _opened.append("opened")
    return "opened"


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:12])
def test_what_goes_in_comes_out(q_cluster: Callable[..., Any], value: Any, compress: bool) -> None:
    q_cluster(compress=compress)

    assert unseal(seal(value, "task", "q"), "task", "q") == value
    assert SignedPackage.loads(SignedPackage.dumps(value)) == value


def test_sealed_text_is_plain_ascii_and_shows_its_format(q_cluster: Callable[..., Any]) -> None:
    q_cluster()
    plain = seal("ü" * 1000, "task", "q")
    q_cluster(compress=True)
    compressed = seal("ü" * 1000, "task", "q")

    assert plain.isascii() and signing.unchecked(plain)[0] == b"p"
    assert compressed.isascii() and signing.unchecked(compressed)[0] == b"P"
    assert len(compressed) < len(plain) / 10
    assert not signing.is_legacy(plain)
    assert signing.is_legacy(SignedPackage.dumps("ü"))


def test_json_travels_as_text(q_cluster: Callable[..., Any]) -> None:
    q_cluster(serializer="json")
    value = {"a": ("ü\0\n:.~" * 50, 1)}

    sealed = seal(value, "task", "q")

    assert sealed.isascii() and sealed.isprintable()
    assert sealed.startswith("~t") and sealed.endswith('~",1]}}')
    assert unseal(sealed, "task", "q") == value


def test_one_changed_character_of_json_is_noticed(q_cluster: Callable[..., Any]) -> None:
    q_cluster(serializer="json")
    sealed = seal({"a": (1, "b")}, "task", "q")

    for place in range(len(sealed)):
        for other in "b2~ü":
            changed = f"{sealed[:place]}{other}{sealed[place + 1 :]}"
            if changed != sealed:
                with pytest.raises(BadSignature):
                    unseal(changed, "task", "q")


def test_what_compression_would_lengthen_is_left_as_it_is(q_cluster: Callable[..., Any]) -> None:
    q_cluster(compress=True)

    assert signing.unchecked(seal(1, "task", "q"))[0] == b"p"


@pytest.mark.parametrize(("purpose", "queue"), [("stat", "q"), ("result", "q"), ("task", "other")])
def test_text_opens_only_for_its_purpose_and_queue(purpose: str, queue: str) -> None:
    sealed = seal(RunsWhenOpened(note), "task", "q")

    with pytest.raises(BadSignature):
        unseal(sealed, purpose, queue)
    assert _opened == []


def test_another_project_cannot_open_it(q_cluster: Callable[..., Any]) -> None:
    q_cluster(name="shop")
    sealed, legacy = (
        seal(RunsWhenOpened(note), "task", "q"),
        SignedPackage.dumps(RunsWhenOpened(note)),
    )
    q_cluster(name="blog")

    with pytest.raises(BadSignature):
        unseal(sealed, "task", "q")
    with pytest.raises(BadSignature):
        SignedPackage.loads(legacy)
    assert _opened == []


@pytest.mark.parametrize("value", ["a", "ab", "abc"])
@pytest.mark.parametrize("others", ["A/~.:=\n\0ü", ascii_letters + digits])
def test_one_changed_character_is_noticed(value: str, others: str) -> None:
    sealed = seal(value, "task", "q")

    for place in range(len(sealed)):
        for other in others:
            changed = f"{sealed[:place]}{other}{sealed[place + 1 :]}"
            # The last letter of base64 too, which has bits that say nothing.
            if changed != sealed:
                with pytest.raises(BadSignature):
                    unseal(changed, "task", "q")


@pytest.mark.parametrize("place", [1, 6, 7, 38, 39, 60, -1])
def test_one_changed_byte_is_noticed_and_nothing_opened(place: int) -> None:
    for sealed in (seal(RunsWhenOpened(note), "task", "q"), first_format(RunsWhenOpened(note))):
        changed = list(sealed)
        changed[place] = "A" if changed[place] != "A" else "B"

        with pytest.raises(BadSignature):
            unseal("".join(changed), "task", "q")
    assert _opened == []


@pytest.mark.parametrize("cut", [1, 2, 30, 54, 55, 56, 90])
def test_text_that_was_cut_short_or_goes_on_is_refused(cut: int) -> None:
    sealed = seal(RunsWhenOpened(note), "task", "q")

    for text in (sealed[:cut], sealed[:-cut], sealed + sealed[-cut:], f" {sealed}"):
        with pytest.raises(BadSignature):
            unseal(text, "task", "q")
    assert _opened == []


@pytest.mark.parametrize("field", [0, 6])
def test_kind_and_time_are_signed(field: int) -> None:
    sealed = seal(RunsWhenOpened(note), "task", "q")
    head = bytearray(base64.b64decode(sealed[2:54]))
    head[field] ^= 1

    with pytest.raises(BadSignature):
        unseal(f"~b{base64.b64encode(head).decode()}{sealed[54:]}", "task", "q")
    assert _opened == []


def first_format(value: Any, kind: str = "p") -> str:
    """Seal a value as our first format had it: Django's signature of the base64."""
    data = base64.urlsafe_b64encode(pickle.dumps(value)).decode().rstrip("=")
    signer = signer_for(Conf.version, "task", "q")
    return signer.sign(f"~{kind}.{data}")


#: As they lie in queues: one text of each kind of our first format.
FIRST_TEXTS = [
    "~p.gAWVXwAAAAAAAAB9lIwBYZRLAYxQw7zDvMO8w7zDvMO8w7zDvMO8w7zDvMO8w7zDvMO8w7zDvMO8w7zDvMO8w7zDvMO8"
    "w7zDvMO8w7zDvMO8w7zDvMO8w7zDvMO8w7zDvMO8w7yUhpRzLg:1xXPx7:H8P56L2mLNRVacwRZ_oAr3wc17mESsZw7Kv__"
    "7-o-Jk",
    "~j.eyJhIjp7IiF0dXBsZSI6WzEsIlx1MDBmY1x1MDBmY1x1MDBmY1x1MDBmY1x1MDBmY1x1MDBmY1x1MDBmY1x1MDBmY1x1"
    "MDBmY1x1MDBmY1x1MDBmY1x1MDBmY1x1MDBmY1x1MDBmY1x1MDBmY1x1MDBmY1x1MDBmY1x1MDBmY1x1MDBmY1x1MDBmY1x1"
    "MDBmY1x1MDBmY1x1MDBmY1x1MDBmY1x1MDBmY1x1MDBmY1x1MDBmY1x1MDBmY1x1MDBmY1x1MDBmY1x1MDBmY1x1MDBmY1x1"
    "MDBmY1x1MDBmY1x1MDBmY1x1MDBmY1x1MDBmY1x1MDBmY1x1MDBmY1x1MDBmYyJdfX0:1xXPx7:yh_QDCQ1ty8cnwlvUWzw"
    "5PhsZmIDQ89bTAdEJeJwQLQ",
    "~pz.eJxrYJ0azwABtVN6GBOneDP2BBzeQ104pW1KsR4AmX1DXA:1xXPx7:ns8IMuNI0gHYPSVwhgfQjUlc1lZ-SnXNfureD"
    "0YSN0w",
    "~jz.eJyrVkpUsqpWUiwpLchJVbKKNtRRiik1MEhLHjmkUmxtLQDqllYC:1xXPx7:kbScbmmZqXEgy48qofYnrNGGR8ZF6vZ"
    "DX1lT-5tzE5Q",
]


@pytest.mark.parametrize("text", FIRST_TEXTS, ids=["pickle", "JSON", "pickle, zip", "JSON, zip"])
def test_our_first_format_is_read_for_ever(q_cluster: Callable[..., Any], text: str) -> None:
    q_cluster(name="shop")

    with override_settings(SECRET_KEY="an old key"):
        assert unseal(text, "task", "q") == {"a": (1, "ü" * 40)}
        assert 1.79e9 < signing.sealed_at(text) < 1.8e9
        for purpose, queue in (("stat", "q"), ("task", "other")):
            with pytest.raises(BadSignature):
                unseal(text, purpose, queue)


@pytest.mark.parametrize(
    "text",
    ["", "x", "~p.", ":", "a:b:c", "~p.AAAA:1:2", "ü:ü:ü", "\0:\0", "~b", "~bc", "~b" + "A" * 60],
)
def test_foreign_text_is_refused(text: str) -> None:
    with pytest.raises(BadSignature):
        unseal(text, "task", "q")
    with pytest.raises(BadSignature):
        SignedPackage.loads(text)


def test_a_format_of_the_future_is_refused() -> None:
    head, data = b"q" + signing.now(), pickle.dumps(RunsWhenOpened(note))
    head += signer_for(Conf.version, "task", "q").digest(head, data)

    with pytest.raises(PackageRejected, match="unknown format b'q'"):
        unseal(signing._written(head, data, False), "task", "q")
    with pytest.raises(PackageRejected, match="unknown format '~q'"):
        unseal(first_format(RunsWhenOpened(note), "q"), "task", "q")
    assert _opened == []


def test_a_bomb_is_not_expanded_beyond_the_limit(q_cluster: Callable[..., Any]) -> None:
    q_cluster(compress=True, max_package=10_000)
    sealed, legacy = seal(bytes(10**7), "task", "q"), SignedPackage.dumps(bytes(10**7))
    assert len(sealed) < 20_000

    for open_it in (lambda: unseal(sealed, "task", "q"), lambda: SignedPackage.loads(legacy)):
        with pytest.raises(PackageRejected, match="larger than 10000 bytes.*max_package"):
            open_it()


# Keys.


def test_a_changed_key_opens_nothing_unless_the_old_one_is_a_fallback() -> None:
    sealed, legacy = seal("mine", "task", "q"), SignedPackage.dumps("mine")
    old = Conf.SECRET_KEY

    with override_settings(SECRET_KEY="new"):
        for open_it in (lambda: unseal(sealed, "task", "q"), lambda: SignedPackage.loads(legacy)):
            with pytest.raises(BadSignature):
                open_it()
    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["older", old]):
        assert unseal(sealed, "task", "q") == "mine"
        assert SignedPackage.loads(legacy) == "mine"


def test_a_fallback_that_is_taken_away_opens_nothing_any_more() -> None:
    sealed, old = seal("mine", "task", "q"), Conf.SECRET_KEY

    with override_settings(SECRET_KEY="new"):
        with override_settings(SECRET_KEY_FALLBACKS=[old]):
            assert unseal(sealed, "task", "q") == "mine"
        with pytest.raises(BadSignature):
            unseal(sealed, "task", "q")


# Beside Django Q.


@pytest.mark.parametrize("compress", [False, True])
def test_the_legacy_format_is_that_of_django(q_cluster: Callable[..., Any], compress: bool) -> None:
    q_cluster(name="shop", compress=compress)
    value = {"args": ("ü" * 200,)}

    theirs = django_signing.dumps(
        value,
        key=Conf.SECRET_KEY,
        salt="shop",
        serializer=signing.PickleSerializer,
        compress=compress,
    )
    ours = SignedPackage.dumps(value)

    assert SignedPackage.loads(theirs) == value
    assert (
        ours.rpartition(":")[0].rpartition(":")[0] == theirs.rpartition(":")[0].rpartition(":")[0]
    )
    opened = django_signing.loads(
        ours, key=Conf.SECRET_KEY, salt="shop", serializer=signing.PickleSerializer
    )
    assert opened == value


def test_compression_of_the_legacy_format_can_be_asked_for() -> None:
    assert SignedPackage.dumps("x" * 1000, compressed=True).startswith(".")
    assert not SignedPackage.dumps("x" * 1000, compressed=False).startswith(".")
