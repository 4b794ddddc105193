"""Packages as bytes in disguise: what is sealed so, what opens, and who is given such."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from django_q import signing
from django_q.brokers.memory import Memory
from django_q.disguise import from_wire, to_wire
from django_q.signing import BadSignature, seal, unseal
from tests.site.tasks import RunsWhenOpened


def note() -> None:
    """Be opened, which must not happen."""
    pytest.fail("It was opened.")


@pytest.mark.parametrize(
    "settings", [{}, {"compress": True}, {"compress": True, "serializer": "json"}]
)
def test_large_data_travel_as_bytes_where_they_can(
    q_cluster: Callable[..., Any], settings: dict[str, Any]
) -> None:
    q_cluster(**settings)
    value = ["".join(map(chr, range(2000))), "\xff" * 1000]

    sealed = seal(value, "task", "q", as_bytes=True)

    assert sealed.startswith("\xff~") and max(sealed) <= "\xff"
    assert len(sealed) < len(seal(value, "task", "q"))
    assert unseal(sealed, "task", "q") == value
    assert signing.unchecked(sealed) == signing.unchecked(seal(value, "task", "q"))
    assert signing.sealed_at(sealed) == pytest.approx(time.time(), abs=60)
    assert not signing.is_legacy(sealed)


@pytest.mark.parametrize("value", [1, "x" * 900])
def test_small_data_are_text_everywhere(value: Any) -> None:
    assert seal(value, "task", "q", as_bytes=True).startswith("~b")


def test_json_is_text_however_large(q_cluster: Callable[..., Any]) -> None:
    q_cluster(serializer="json")

    assert seal("x" * 5000, "task", "q", as_bytes=True).startswith("~t")


def test_bytes_in_disguise_open_as_text_too() -> None:
    value = b"\0\xff" * 1000
    sealed = seal(value, "task", "q", as_bytes=True)

    text = signing.as_text(sealed)

    assert text.isascii() and text.startswith("~b")
    assert unseal(text, "task", "q") == value
    assert signing.unchecked(text) == signing.unchecked(sealed)
    assert signing.sealed_at(text) == signing.sealed_at(sealed)


@pytest.mark.parametrize("text", ["", "~b", "plain", "\xffother", "\xff~\u4e16", "~p.AAAA:1:2"])
def test_what_is_not_ours_stays_as_it_is(text: str) -> None:
    assert signing.as_text(text) == text


def test_bytes_in_disguise_open_for_their_purpose_only() -> None:
    sealed = seal([RunsWhenOpened(note), "x" * 1000], "task", "q", as_bytes=True)
    assert sealed.startswith("\xff~")

    for purpose, queue in (("stat", "q"), ("task", "other")):
        for text in (sealed, signing.as_text(sealed)):
            with pytest.raises(BadSignature):
                unseal(text, purpose, queue)


def test_one_changed_byte_in_disguise_is_noticed() -> None:
    sealed = seal("x" * 1000, "task", "q", as_bytes=True)

    for place in range(len(sealed)):
        for other in "A\0\xff\u0100":
            changed = f"{sealed[:place]}{other}{sealed[place + 1 :]}"
            if changed != sealed:
                with pytest.raises(BadSignature):
                    unseal(changed, "task", "q")
    for cut in (2, 9, 40, 41, 500, -1):
        with pytest.raises(BadSignature):
            unseal(sealed[:cut], "task", "q")


@pytest.mark.parametrize("own", ["enqueue", "dequeue", "lease", "get_connection"])
def test_who_has_a_way_of_its_own_is_given_no_bytes_unasked(own: str) -> None:
    ways = {own: getattr(Memory, own)}

    assert Memory.carries_bytes
    assert type("Silent", (Memory,), {}).carries_bytes
    assert not type("Own", (Memory,), ways).carries_bytes
    assert type("Able", (Memory,), {**ways, "carries_bytes": True}).carries_bytes


@pytest.mark.parametrize(
    "payload", ["", "plain", "ü", "\xff", "\xff~\0\x80\xfe", "\xff\u4e16", "\xffa"]
)
def test_any_text_comes_back_from_the_wire(payload: str) -> None:
    sent = to_wire(payload)

    assert from_wire(sent if isinstance(sent, bytes) else sent.encode()) == payload


def test_bytes_that_are_nothing_are_shown_by_their_escapes() -> None:
    assert from_wire(b"a\xff\x80") == "a\\xff\\x80"
