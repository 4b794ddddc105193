"""Plain values come back from shared memory as they were, whichever way they were written."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest

from django_q import plain_values
from django_q.package import Follower

PLAIN = (None, True, -1, 2**80, 0.1, "ü\0\ud800😀", b"\0\xff", (1, ("a",)), ["b", {"c": 2}])


class Words(str):
    """Text with a class of its own."""

    __slots__ = ()


def test_plain_values_come_back_as_they_were() -> None:
    found = plain_values.loads(plain_values.dumps(PLAIN))

    assert found == PLAIN
    assert [type(value) for value in found] == [type(value) for value in PLAIN]
    assert math.isnan(plain_values.loads(plain_values.dumps((math.nan,)))[0])


@pytest.mark.parametrize(
    "value", [Follower("default", "~b"), datetime(2026, 1, 2, tzinfo=UTC), Words("a")]
)
def test_what_has_a_class_comes_back_with_it(value: Any) -> None:
    (found,) = plain_values.loads(plain_values.dumps((value,)))

    assert found == value
    assert type(found) is type(value)


def test_only_what_has_a_class_is_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_q.plain_values.pickle.dumps", pytest.fail)

    assert plain_values.dumps(PLAIN)
