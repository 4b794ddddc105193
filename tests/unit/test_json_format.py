"""JSON with types: what comes out is what went in, and foreign text does nothing but fail."""

import datetime
import decimal
import math
import uuid
import zoneinfo
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_q import json_format
from tests.site import tasks

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.datetimes(timezones=st.none() | st.just(datetime.UTC)).map(lambda m: m.replace(fold=0))
    | st.dates()
    | st.times().map(lambda time: time.replace(fold=0))
    | st.timedeltas()
)
_KEYS = st.text() | st.integers() | st.tuples(st.integers(), st.text())
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(_KEYS, inner)
        | st.dictionaries(st.sampled_from(["!", "!tuple", "!dict", "a"]), inner)
    ),
    max_leaves=20,
)


@given(_VALUES)
def test_any_value_comes_back_with_its_type(value: Any) -> None:
    found = json_format.loads(json_format.dumps(value))

    assert found == value
    assert repr(found) == repr(value)  # True is not 1, (1,) is not [1]


@pytest.mark.parametrize("value", [{1, 2}, frozenset({"a"}), math.inf, -math.inf])
def test_sets_and_infinities_come_back(value: Any) -> None:
    assert json_format.loads(json_format.dumps(value)) == value


def test_a_function_comes_back_as_its_path() -> None:
    assert json_format.loads(json_format.dumps(tasks.add)) == "tests.site.tasks.add"


class _Odd(str):
    """Would come back as a plain string."""


@pytest.mark.parametrize("value", [object(), _Odd("x"), lambda: 1, iter([]), 1j, [object()]])
def test_what_json_cannot_say_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="has no form in JSON"):
        json_format.dumps(value)


_BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
_NAMED = datetime.timezone(datetime.timedelta(hours=1), "CET")


@pytest.mark.parametrize(
    "value",
    [
        *(dict, tasks.add, [tasks.add], {"a": (dict,)}, {1: dict}, {dict: 1}),
        *(datetime.datetime(2026, 7, 1, tzinfo=zone) for zone in (_BERLIN, _NAMED)),
        *(datetime.datetime(2026, 10, 25, 2, 30, fold=1), datetime.time(12, tzinfo=_BERLIN)),
    ],
)
def test_what_would_change_is_refused_where_that_is_asked(value: Any) -> None:
    json_format.dumps(value)

    with pytest.raises(TypeError, match="no form in JSON"):
        json_format.dumps(value, strict=True)


@given(_VALUES)
def test_what_comes_back_is_not_refused(value: Any) -> None:
    assert json_format.dumps(value, strict=True) == json_format.dumps(value)


def test_an_offset_comes_back() -> None:
    east = datetime.timezone(datetime.timedelta(hours=1))
    value = [datetime.datetime(2026, 7, 1, tzinfo=east), datetime.time(12, tzinfo=datetime.UTC)]

    assert repr(json_format.loads(json_format.dumps(value, strict=True))) == repr(value)


def test_endless_nesting_is_refused() -> None:
    value: list[Any] = []
    value.append(value)

    with pytest.raises(ValueError, match="levels deep"):
        json_format.dumps(value)
    with pytest.raises(ValueError):
        json_format.loads(b"[" * 100_000)


@pytest.mark.parametrize(
    "text",
    [
        '{"!code": "import os"}', '{"!datetime": 5}', '{"!uuid": "x"}', '{"!dict": [1]}', "NaN",
        '{"!set": [[1]]}', '{"!bytes": "*"}', '{"!decimal": "x"}', "", "{",
    ],
)  # fmt: skip
def test_foreign_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        json_format.loads(text.encode())


@given(st.binary())
def test_any_bytes_are_a_value_or_refused(data: bytes) -> None:
    try:
        json_format.loads(data)
    except ValueError:  # UnicodeDecodeError and JSONDecodeError are
        pass


def test_a_decimal_keeps_its_digits_and_an_id_its_kind() -> None:
    value = [decimal.Decimal("1.10"), uuid.UUID(int=1)]

    assert repr(json_format.loads(json_format.dumps(value))) == repr(value)
