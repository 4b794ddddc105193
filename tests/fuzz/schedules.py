"""The text of schedules: cron expressions, arguments in their text forms, dates and numbers."""

import decimal
import random
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError

from django_q import json_format
from django_q.models import Schedule
from django_q.models.validators import validate_kwarg
from django_q.recurrence import advance_cron, explain_cron, has_cron_seconds
from django_q.schedule_arguments import keep, parse_args, parse_kwargs, read
from tests.fuzz.mutations import changed_value
from tests.fuzz.target import Finding, Target, outcome_of

_BERLIN = ZoneInfo("Europe/Berlin")
_NOW = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)

_CRONS = (
    *("* * * * *", "*/5 8-18/2 * 1,3,5 MON-FRI", "0 0 29 2 *", "0 0 31 2 *", "0 0 L * *"),
    *("0 0 LW * *", "0 0 15W * *", "0 0 * * 5L", "0 0 * * MON#2", "@daily", "@yearly", "@reboot"),
    *(
        "0 0 1 1 * 30",
        "*/10 * * * * */15",
        "0 0 1 1 * 0 2030",
        "H H * * *",
        "R R * * *",
        "? * * * ?",
    ),
    *("0 2 25 10 *", "59 23 31 12 0", "0 0 1-31/7 JAN-DEC SUN-SAT", "0 0 * * 7", "0 0 L-3 * *"),
)
_CRON_TOKENS = (
    *(
        b" ",
        b"*",
        b"/",
        b"-",
        b",",
        b"#",
        b"L",
        b"W",
        b"LW",
        b"?",
        b"H",
        b"R",
        b"H(0-5)",
        b"@",
        b"/0",
    ),
    *(
        b"0-99999999",
        b"*/99999999999",
        b"5#2",
        b"5L",
        b"JAN",
        b"SUN",
        b"31",
        b"29 2",
        b"\xc2\xb2",
        b"~",
    ),
)


def _read_cron(data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    if not isinstance(explain_cron(text), str):
        raise Finding("the explanation is no text")
    has_cron_seconds(text)
    try:
        due = advance_cron(text, _NOW, _BERLIN)
        naive = advance_cron(text, datetime(2026, 2, 28, 23, 59, 59))
    except ValueError as error:
        return outcome_of(error)
    if due <= _NOW or naive <= datetime(2026, 2, 28, 23, 59, 59):
        raise Finding(f"due in the past: {due}, {naive}")
    return "due"


_ARGUMENTS = (
    *("1, 2, 'John'", "(1, 2)", "[1, {2}]", "{'a': 1}", "x=1, y='two'", "", "'a'\n, b'c'", "-1j"),
    *(
        "key={'a': [1, (2,)]}, other=None",
        "'\\ud800'",
        "f'{1}'",
        "0x1F",
        "1_000",
        "...",
        "a=1, **{}",
    ),
)
_ARGUMENT_TOKENS = (
    *(
        b"(",
        b")",
        b"[",
        b"]",
        b"{",
        b"}",
        b",",
        b"=",
        b"'",
        b'"',
        b"\\",
        b"\n",
        b"#",
        b"-",
        b"+",
        b":",
    ),
    *(
        b"lambda:0",
        b"*",
        b"**",
        b"f''",
        b"\0",
        b"\\ud800",
        b"if",
        b"1e999",
        b"0b",
        b"not ",
        b"~",
        b"\f",
    ),
    *(
        b"x=",
        b"set()",
        b"__import__('os')",
        b"9" * 5000,
        b"\xef\xbb\xbf",
        b"# coding: utf-7\n",
        b"1 if",
    ),
)


def _read_arguments(data: bytes) -> str:
    text = data.decode("utf-8", "surrogateescape")
    outcomes = []
    for parse in (parse_args, parse_kwargs):
        try:
            found: Any = parse(text)
        except ValueError as error:
            str(error)
            outcomes.append("refused")
            continue
        outcomes.append("read")
        both = (found, {}) if isinstance(found, tuple) else ((), found)
        kept = keep(*both, {})
        again = read(*kept)
        if kept.sealed is None and (again.args, again.kwargs) != both:
            raise Finding(f"{both!r:.200} came back as {again!r:.200}")
    try:
        validate_kwarg(text)
    except ValidationError:
        outcomes.append("no name")
    return ", ".join(outcomes)


def _kept(*args: Any, **options: Any) -> bytes:
    kept = keep(args, {"a": decimal.Decimal(1)}, options)
    return "\1".join((kept.args, kept.kwargs, str(kept.sealed))).encode()


def _read_sealed(data: bytes) -> str:
    args, _, rest = data.decode("utf-8", "replace").partition("\1")
    kwargs, _, sealed = rest.partition("\1")
    try:
        found = read(args, kwargs, sealed)
    except ValueError as error:
        return outcome_of(error)
    return f"read, {type(found.args).__name__}"


_COLUMNS: dict[str, Any] = {
    "schedule_type": "D",
    "minutes": 5,
    "seconds": 10,
    "cron": "0 0 29 2 *",
    "repeats": -1,
    "next_run": datetime(2026, 1, 31, 12, tzinfo=UTC),
    "anchor": datetime(2025, 1, 31, 12, tzinfo=UTC),
    "catch_up": True,
    "now": _NOW,
}
_MOMENTS = (
    *(
        datetime.min,
        datetime.max,
        datetime.min.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
    ),
    *(datetime(2026, 3, 29, 2, 30), datetime(2024, 2, 29, tzinfo=UTC), datetime(9999, 12, 31, 12)),
    *(datetime(1970, 1, 1, tzinfo=UTC), datetime(1, 1, 1, 0, 0, 1, tzinfo=UTC), None),
)


def _make_due(chance: random.Random) -> bytes:
    made = dict(_COLUMNS)
    for _ in range(chance.randrange(4)):
        key = chance.choice(list(made))
        if key == "schedule_type":
            made[key] = chance.choice([kind for kind, _ in Schedule.TYPE] + ["X", ""])
        elif key in ("next_run", "anchor", "now"):
            made[key] = chance.choice(_MOMENTS)
        elif key in ("minutes", "seconds", "repeats"):
            made[key] = chance.choice([None, -1, 0, 1, 59, 32767, 2**31 - 1, -(2**31)])
        else:
            made[key] = changed_value(chance, made[key])
    return json_format.dumps(made)


def _read_due(data: bytes) -> str:
    """Do what the scheduler and the admin do with a row; what they catch is documented."""
    try:
        found = json_format.loads(data)
    except ValueError:
        return "no input"
    if not isinstance(found, dict) or not _is_row(found):
        return "no input"
    now = found.pop("now")
    row = Schedule(func="math.sqrt", **found)
    outcomes = []
    for call in (row.calculate_next_run, row.upcoming, lambda: row.move_on(now), row.clean):
        try:
            call()
        except (ValueError, ArithmeticError, ValidationError) as error:
            outcomes.append(type(error).__name__)
        else:
            outcomes.append("done")
    return ", ".join(outcomes)


def _is_row(found: dict[str, Any]) -> bool:
    """Tell whether a database could give such a row."""
    if found.keys() != _COLUMNS.keys() or getattr(found["now"], "tzinfo", None) is None:
        return False
    kinds = {"schedule_type": str, "minutes": int, "seconds": int, "cron": str, "repeats": int}
    kinds |= {"next_run": datetime, "anchor": datetime, "catch_up": bool, "now": datetime}
    return found["repeats"] is not None and all(
        value is None or type(value) is kinds[key] for key, value in found.items()
    )


CRON = Target("cron", 9, [text.encode() for text in _CRONS], _read_cron, _CRON_TOKENS)
ARGUMENTS = Target(
    "arguments", 9, [text.encode() for text in _ARGUMENTS], _read_arguments, _ARGUMENT_TOKENS
)
SEALED = Target(
    "sealed arguments", 3, [_kept(1), _kept({2}, chain=[("math.sqrt", (object,))])], _read_sealed
)
DUE = Target("due times", 4, [json_format.dumps(_COLUMNS)], _read_due, (b"null", b"0"), _make_due)
