"""Texts for terminals: cut and filled to columns, as wide as a terminal shows them. Pure."""

import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime

from django.utils.timezone import is_aware, localtime

from django_q.brokers.estimate import Estimate


def text_width(text: str) -> int:
    """Give the columns that a text takes; Chinese signs take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(map(_sign_width, text))


def _sign_width(sign: str) -> int:
    if unicodedata.combining(sign):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1


def cut(text: str, width: int) -> str:
    """Give a text that takes at most `width` columns, with `..` where something is missing.

    Control characters, which would move the cursor, become question marks.
    """
    text = "".join(sign if sign.isprintable() else "?" for sign in text)
    if text_width(text) <= width:
        return text
    taken = 0
    for place, sign in enumerate(text):
        taken += _sign_width(sign)
        if taken > width - 2:
            return text[:place] + ".."[: max(width, 0)]
    return text


def cut_start(text: str, width: int) -> str:
    """As `cut`, but what is missing is the beginning: of a path the end tells most."""
    if text_width(text) <= width:
        return cut(text, width)
    end = text
    while text_width(end) > width - 2:
        end = end[1:]
    return cut(f"..{end}", width)


def fill(text: str, width: int, *, right: bool = False) -> str:
    """Give a text cut or filled to exactly `width` columns, flush left or right."""
    text = cut(text, width)
    blanks = " " * (width - text_width(text))
    return blanks + text if right else text + blanks


def table(
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    widths: Sequence[int],
    right: frozenset[int] | set[int] = frozenset(),
) -> Iterator[str]:
    """Give the lines of a table, without titles if there are none.

    Texts are cut to `widths`; the columns in `right` are flush right.
    """
    for line in [titles, *rows] if titles else rows:
        cells = [fill(text, widths[place], right=place in right) for place, text in enumerate(line)]
        yield " ".join(cells).rstrip()


def count_text(number: int) -> str:
    """Give a number of things as a person reads it: `20,000`, `~1,030,000` if it is an estimate."""
    return f"~{number:,}" if isinstance(number, Estimate) else f"{number:,}"


def duration_text(seconds: float) -> str:
    """Give a duration as a person says it, in at most 8 characters: `12 ms`, `4 min`, `3h 20m`."""
    if seconds < 0.9995:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return f"{minutes // 60}h {minutes % 60}m"
    return f"{minutes // 1440}d {minutes % 1440 // 60}h"


def size_text(size: float) -> str:
    """Give a number of bytes as a person says it, in at most 8 characters: `812 KiB`, `1.4 GiB`."""
    size /= 1024
    for unit in ("KiB", "MiB", "GiB"):
        if size < 999.5:
            return f"{size:.1f} {unit}" if size < 9.95 and unit != "KiB" else f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def local_text(moment: datetime) -> str:
    """Give a moment to the second, in the time zone in force."""
    local = localtime(moment) if is_aware(moment) else moment
    return f"{local:%Y-%m-%d %H:%M:%S}"
