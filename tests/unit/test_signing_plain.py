"""Sealed text that is read without running code is known from all other."""

import copyreg
import pickletools
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from django_q import signing
from django_q.signing import SignedPackage, seal
from tests.site.tasks import RunsWhenOpened
from tests.unit.test_signing import VALUES


def is_plain(text: str) -> bool:
    try:
        value = signing.unseal_plain(text, "task", "default")
    except (ValueError, signing.BadSignature):
        return False
    assert value == signing.unseal(text, "task", "default")
    return True


def note() -> None:
    """Be named in a pickle."""


@pytest.mark.parametrize("value", [*VALUES, (True, 1.5, [], {1: b"x"}, frozenset())])
def test_values_are_read_without_code_and_known_for_that(value: Any) -> None:
    assert is_plain(seal(value, "task", "default", "pickle"))
    names = ("GLOBAL", "INST", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "STACK_GLOBAL")
    codes = pickletools.genops(signing.serialized(value, "pickle"))
    assert not [code.name for code, _, _ in codes if code.name in names]


@pytest.mark.parametrize(
    "value",
    [RunsWhenOpened(pytest.fail), datetime(2026, 1, 2), note, str, {"deep": [(RunsWhenOpened,)]}],
)
def test_what_has_code_is_not_taken_for_plain(value: Any) -> None:
    assert not is_plain(seal(value, "task", "default", "pickle"))


def test_a_class_that_pickles_write_as_a_number_is_code_too() -> None:
    copyreg.add_extension(__name__, "note", 0x7E57)
    try:
        assert not is_plain(seal(note, "task", "default", "pickle"))
    finally:
        copyreg.remove_extension(__name__, "note", 0x7E57)


def test_only_uncompressed_text_of_our_format_is_plain(q_cluster: Callable[..., Any]) -> None:
    assert is_plain(seal("x" * 100, "task", "default", "json"))
    assert not is_plain(SignedPackage.dumps("x"))
    for foreign in ("", "~", "~b", "~bcA", "~b" + "=" * 100, "~t{}", "~p.gAVLAS4:x:y"):
        assert not is_plain(foreign)
    q_cluster(compress=True)
    for serializer in ("pickle", "json"):
        assert not is_plain(seal("x" * 100, "task", "default", serializer))


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("value", ["x" * 1000, ["ü" * 1000], ("x" * 1000, note)])
def test_bytes_in_disguise_are_as_plain_as_their_text(
    q_cluster: Callable[..., Any], value: Any, compress: bool
) -> None:
    q_cluster(compress=compress)
    sealed = seal([value, bytes(range(100)) * 20], "task", "default", "pickle", as_bytes=True)

    assert is_plain(sealed) == is_plain(signing.as_text(sealed))
    assert not is_plain("\xff~") and not is_plain("\xff~\u4e16")
